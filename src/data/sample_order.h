// Which samples each optimizer step takes: a pure function of seed, number of samples and position.
#pragma once
#include <cstdint>
#include <vector>

namespace anneal {

// How far training has come: what a resumed run goes on from.
struct SamplePosition {
  std::int64_t epoch = 0;
  std::int64_t taken = 0;  // samples of this epoch, fewer than all
  bool operator==(const SamplePosition&) const = default;
};

class SampleOrder {
 public:
  SampleOrder(std::uint64_t seed, std::int64_t samples) : seed_(seed), samples_(samples) {}

  // Steps of one epoch where a step takes `pool_size` samples of all ranks together.
  std::int64_t steps_per_epoch(std::int64_t pool_size) const {
    return (samples_ + pool_size - 1) / pool_size;
  }

  // The samples of the step at `position`, in order; moves the position behind them. The last step of an
  // epoch takes what is left, so it may be shorter; no step mixes epochs. Keeps the order of the last epoch
  // asked for: not for several threads at once.
  std::vector<std::int64_t> take(SamplePosition& position, std::int64_t pool_size);

  // All samples in the order of epoch `epoch` (from 0).
  std::vector<std::int64_t> order_of_epoch(std::int64_t epoch) const;

  // Epochs done at `position`, counted in micro-batches of `batch` samples of all ranks, as HF's trainer logs
  // it.
  double epochs_done(const SamplePosition& position, std::int64_t batch) const;

 private:
  std::uint64_t seed_;
  std::int64_t samples_;
  std::int64_t cached_epoch_ = -1;
  std::vector<std::int64_t> cached_order_;
};

}  // namespace anneal
