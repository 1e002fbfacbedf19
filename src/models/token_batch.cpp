#include "models/token_batch.h"

#include <ATen/ops/tensor.h>

#include "base/random.h"

namespace anneal {

TokenBatch make_token_batch(std::span<const SampleView> samples, at::Device device) {
  TokenBatch batch;
  batch.segment_starts.push_back(0);
  std::vector<std::int64_t> ids, positions, rows, targets;
  for (const auto& sample : samples) {
    const auto start = batch.segment_starts.back();
    const auto length = static_cast<std::int64_t>(sample.ids.size());
    batch.segment_starts.push_back(start + length);
    batch.row_of_segment.push_back(static_cast<std::int64_t>(rows.size()));
    for (std::int64_t at = 0; at < length; ++at) {
      ids.push_back(sample.ids[at]);
      positions.push_back(at);
    }
    auto untrained = sample.untrained;
    for (std::int64_t at = std::max<std::int64_t>(sample.prompt_length, 1); at < length; ++at) {
      if (!untrained.empty() && at == untrained[0]) {
        at = untrained[1] - 1;
        untrained = untrained.subspan(2);
        continue;
      }
      rows.push_back(start + at - 1);
      targets.push_back(sample.ids[at]);
    }
  }
  batch.row_of_segment.push_back(static_cast<std::int64_t>(rows.size()));
  const auto on_device = [&](const std::vector<std::int64_t>& values) {
    return at::tensor(values).to(device);
  };
  batch.ids_N = on_device(ids);
  batch.positions_N = on_device(positions);
  batch.trained_rows_M = on_device(rows);
  batch.targets_M = on_device(targets);
  return batch;
}

at::Tensor dropout_row_keys(const TokenBatch& batch, std::uint64_t seed, std::int64_t step,
                            std::span<const std::size_t> ordinals) {
  const auto step_key = mix(mix(seed, hash_name("dropout")), step);
  std::vector<std::int64_t> keys;
  keys.reserve(batch.tokens());
  for (std::int64_t sample = 0; sample < batch.samples(); ++sample) {
    const auto sample_key = mix(step_key, ordinals[sample]);
    const auto length = batch.segment_starts[sample + 1] - batch.segment_starts[sample];
    for (std::int64_t position = 0; position < length; ++position)
      keys.push_back(static_cast<std::int64_t>(mix(sample_key, position)));
  }
  return at::tensor(keys).to(batch.ids_N.device());
}

}  // namespace anneal
