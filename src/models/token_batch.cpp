#include "models/token_batch.h"

#include <ATen/ops/empty.h>

#include "base/random.h"

namespace anneal {

TokenBatch make_token_batch(std::span<const SampleView> samples) {
  TokenBatch batch;
  batch.segment_starts.push_back(0);
  for (const auto& sample : samples)
    batch.segment_starts.push_back(batch.segment_starts.back() +
                                   static_cast<std::int64_t>(sample.ids.size()));
  batch.ids_N = at::empty({batch.tokens()}, at::kLong);
  batch.positions_N = at::empty({batch.tokens()}, at::kLong);
  auto* ids = batch.ids_N.mutable_data_ptr<std::int64_t>();
  auto* positions = batch.positions_N.mutable_data_ptr<std::int64_t>();
  std::vector<std::int64_t> rows;
  for (const auto& sample : samples) {
    const auto start = batch.segment_starts[batch.row_of_segment.size()];
    const auto length = static_cast<std::int64_t>(sample.ids.size());
    batch.row_of_segment.push_back(static_cast<std::int64_t>(rows.size()));
    for (std::int64_t at = 0; at < length; ++at) {
      ids[start + at] = sample.ids[at];
      positions[start + at] = at;
    }
    for (std::int64_t at = length - trained_positions(sample); at < length; ++at) {
      rows.push_back(start + at - 1);
      batch.targets_M.push_back(sample.ids[at]);
    }
  }
  batch.row_of_segment.push_back(static_cast<std::int64_t>(rows.size()));
  batch.trained_rows_M = at::empty({static_cast<std::int64_t>(rows.size())}, at::kLong);
  std::copy(rows.begin(), rows.end(), batch.trained_rows_M.mutable_data_ptr<std::int64_t>());
  return batch;
}

std::vector<std::uint64_t> dropout_row_keys(const TokenBatch& batch, std::uint64_t seed, std::int64_t step,
                                            std::span<const std::size_t> ordinals) {
  const auto step_key = mix(mix(seed, hash_name("dropout")), step);
  std::vector<std::uint64_t> keys;
  keys.reserve(batch.tokens());
  for (std::int64_t sample = 0; sample < batch.samples(); ++sample) {
    const auto sample_key = mix(step_key, ordinals[sample]);
    const auto length = batch.segment_starts[sample + 1] - batch.segment_starts[sample];
    for (std::int64_t position = 0; position < length; ++position) keys.push_back(mix(sample_key, position));
  }
  return keys;
}

}  // namespace anneal
