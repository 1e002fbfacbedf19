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

std::vector<std::int64_t> SampleOrder::indices_of_step(std::int64_t step, std::int64_t pool_size) {
  const auto steps = steps_per_epoch(pool_size);
  const auto epoch = step / steps;
  if (epoch != cached_epoch_) {
    cached_order_ = order_of_epoch(epoch);
    cached_epoch_ = epoch;
  }
  const auto first = step % steps * pool_size;
  const auto last = std::min(first + pool_size, samples_);
  return {cached_order_.begin() + first, cached_order_.begin() + last};
}

double SampleOrder::epochs_done(std::int64_t steps_done, std::int64_t batch,
                                std::int64_t accumulation) const {
  const auto steps = steps_per_epoch(batch * accumulation);
  const auto micro_batches = (samples_ + batch - 1) / batch;
  const auto done = std::min(steps_done % steps * accumulation, micro_batches);
  return static_cast<double>(steps_done / steps) +
         static_cast<double>(done) / static_cast<double>(micro_batches);
}

}  // namespace anneal
