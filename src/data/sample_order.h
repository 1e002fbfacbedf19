// Which samples each optimizer step takes. A pure function of (seed, number of samples, step): nothing to
// save.
#pragma once
#include <cstdint>
#include <vector>

namespace anneal {

class SampleOrder {
 public:
  SampleOrder(std::uint64_t seed, std::int64_t samples) : seed_(seed), samples_(samples) {}

  // Steps of one epoch where a step takes `pool_size` samples of all ranks together.
  std::int64_t steps_per_epoch(std::int64_t pool_size) const {
    return (samples_ + pool_size - 1) / pool_size;
  }

  // The samples of step `step` (from 0), in order. The last step of an epoch takes what is left, so it may be
  // shorter; no step mixes epochs. Keeps the order of the last epoch asked for: not for several threads at
  // once.
  std::vector<std::int64_t> indices_of_step(std::int64_t step, std::int64_t pool_size);

  // All samples in the order of epoch `epoch` (from 0).
  std::vector<std::int64_t> order_of_epoch(std::int64_t epoch) const;

  // Epochs done after `steps_done` steps, counted in micro-batches as HF's trainer logs it: `batch` samples
  // of all ranks a micro-batch, `accumulation` of them a step.
  double epochs_done(std::int64_t steps_done, std::int64_t batch, std::int64_t accumulation) const;

 private:
  std::uint64_t seed_;
  std::int64_t samples_;
  std::int64_t cached_epoch_ = -1;
  std::vector<std::int64_t> cached_order_;
};

}  // namespace anneal
