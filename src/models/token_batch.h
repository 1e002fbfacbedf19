// A padding-free micro-batch: the tokens of several samples laid end to end. N tokens, M trained positions.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace anneal {

// One sample as the model sees it. Tokens from prompt_length on are trained, but for the stretches of
// `untrained` (begin and end, in turn): position t predicts token t + 1.
struct SampleView {
  std::span<const std::int32_t> ids;
  std::int64_t prompt_length;
  std::span<const std::int32_t> untrained = {};
};

// Positions of a sample that carry a loss. The first token has no position before it that could predict it.
inline std::int64_t trained_positions(const SampleView& sample) {
  auto count = static_cast<std::int64_t>(sample.ids.size()) - std::max<std::int64_t>(sample.prompt_length, 1);
  for (std::size_t at = 0; at < sample.untrained.size(); at += 2)
    count -= sample.untrained[at + 1] - sample.untrained[at];
  return std::max<std::int64_t>(0, count);
}

struct TokenBatch {
  at::Tensor ids_N, positions_N;             // int64; tensors are on the model's device
  std::vector<std::int64_t> segment_starts;  // one more than there are samples
  at::Tensor trained_rows_M;                 // int64, indices into N
  at::Tensor targets_M;                      // int64, the token that each trained row predicts
  std::vector<std::int64_t> row_of_segment;  // first entry of each sample in trained_rows_M, and the end

  std::int64_t tokens() const { return segment_starts.back(); }
  std::int64_t samples() const { return static_cast<std::int64_t>(segment_starts.size()) - 1; }
};

TokenBatch make_token_batch(std::span<const SampleView> samples, at::Device device);

// Keys of the batch's dropout, one a token, in the form of DropoutKeys: functions of (seed, step, ordinal of
// the sample in the step, position).
at::Tensor dropout_row_keys(const TokenBatch& batch, std::uint64_t seed, std::int64_t step,
                            std::span<const std::size_t> ordinals);

}  // namespace anneal
