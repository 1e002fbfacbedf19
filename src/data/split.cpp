#include "data/split.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/random.h"

namespace anneal {
namespace {

constexpr std::uint64_t kGoldenGamma = 0x9E3779B97F4A7C15ULL;
constexpr std::uint64_t kIndicesPerBucket = 64;
constexpr double kNoise = 1e-9;  // products such as 100 * 0.95 miss the whole number by less

}  // namespace

SplitCounts split_counts(std::int64_t rows, double train_ratio, double test_share) {
  if (rows == 1) return {.training = 1};
  auto training = static_cast<std::int64_t>(std::floor(static_cast<double>(rows) * train_ratio + kNoise));
  if (train_ratio < 1) training = std::clamp<std::int64_t>(training, 1, rows - 1);
  const std::int64_t held_out = rows - training;
  auto test = static_cast<std::int64_t>(std::ceil(static_cast<double>(held_out) * test_share - kNoise));
  // A single held-out row is worth more as validation.
  if (test_share > 0 && test_share < 1 && held_out >= 1) test = std::min(test, held_out - 1);
  test = std::max<std::int64_t>(test, 0);
  return {training, held_out - test, test};
}

std::uint64_t order_key(std::int64_t index, std::uint64_t base) {
  return splitmix64(base + (static_cast<std::uint64_t>(index) + 1) * kGoldenGamma);
}

// Each of many buckets takes the indices whose keys begin alike; then it is sorted by itself. So no more than
// the order has to be in memory.
std::vector<std::int64_t> hashed_order(std::int64_t count, std::uint64_t base) {
  const auto bucket_bits = std::bit_width(static_cast<std::uint64_t>(count) / kIndicesPerBucket);
  const auto bucket_of = [&](std::int64_t index) {
    return bucket_bits == 0 ? 0 : order_key(index, base) >> (64 - bucket_bits);
  };
  std::vector<std::int64_t> ends((std::size_t{1} << bucket_bits) + 1);
  for (std::int64_t index = 0; index < count; ++index) ++ends[bucket_of(index) + 1];
  std::partial_sum(ends.begin(), ends.end(), ends.begin());
  std::vector<std::int64_t> order(count);
  // From here on the beginning of a bucket moves to its end, which is where the next one began.
  for (std::int64_t index = 0; index < count; ++index) order[ends[bucket_of(index)]++] = index;
  std::vector<std::pair<std::uint64_t, std::int64_t>> keyed;
  for (std::size_t bucket = 0, begin = 0; begin < order.size(); begin = ends[bucket++]) {
    keyed.clear();
    for (auto at = static_cast<std::int64_t>(begin); at < ends[bucket]; ++at)
      keyed.emplace_back(order_key(order[at], base), order[at]);
    std::sort(keyed.begin(), keyed.end());
    std::transform(keyed.begin(), keyed.end(), order.begin() + static_cast<std::int64_t>(begin),
                   [](const auto& pair) { return pair.second; });
  }
  return order;
}

std::vector<std::int64_t> split_order(std::int64_t rows, std::uint64_t split_seed) {
  return hashed_order(rows, split_seed);
}

}  // namespace anneal
