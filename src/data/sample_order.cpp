#include "data/sample_order.h"

#include <algorithm>

#include "data/split.h"

namespace anneal {
namespace {

constexpr std::uint64_t kEpochStride = 0xD1B54A32D192ED03ULL;

}  // namespace

std::vector<std::int64_t> SampleOrder::order_of_epoch(std::int64_t epoch) const {
  return hashed_order(samples_, seed_ + (static_cast<std::uint64_t>(epoch) + 1) * kEpochStride);
}

std::vector<std::int64_t> SampleOrder::take(SamplePosition& position, std::int64_t pool_size) {
  if (position.epoch != cached_epoch_) {
    cached_order_ = order_of_epoch(position.epoch);
    cached_epoch_ = position.epoch;
  }
  const auto first = position.taken;
  const auto last = std::min(first + pool_size, samples_);
  position = last < samples_ ? SamplePosition{position.epoch, last} : SamplePosition{position.epoch + 1, 0};
  return {cached_order_.begin() + first, cached_order_.begin() + last};
}

double SampleOrder::epochs_done(const SamplePosition& position, std::int64_t batch) const {
  const auto micro_batches = [&](std::int64_t samples) {
    return static_cast<double>((samples + batch - 1) / batch);
  };
  return static_cast<double>(position.epoch) + micro_batches(position.taken) / micro_batches(samples_);
}

}  // namespace anneal
