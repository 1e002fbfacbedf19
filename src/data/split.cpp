#include "data/split.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/random.h"

namespace anneal {
namespace {

constexpr std::uint64_t kGoldenGamma = 0x9E3779B97F4A7C15ULL;
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

std::vector<std::int64_t> hashed_order(std::int64_t count, std::uint64_t base) {
  std::vector<std::pair<std::uint64_t, std::int64_t>> keyed(count);
  for (std::int64_t index = 0; index < count; ++index)
    keyed[index] = {splitmix64(base + (static_cast<std::uint64_t>(index) + 1) * kGoldenGamma), index};
  std::sort(keyed.begin(), keyed.end());
  std::vector<std::int64_t> order(count);
  std::transform(keyed.begin(), keyed.end(), order.begin(), [](const auto& pair) { return pair.second; });
  return order;
}

std::vector<std::int64_t> split_order(std::int64_t rows, std::uint64_t split_seed) {
  return hashed_order(rows, split_seed);
}

}  // namespace anneal
