// Which row goes to training, validation and test: exact counts, and an order that is the same on every
// machine.
#pragma once
#include <cstdint>
#include <vector>

namespace anneal {

struct SplitCounts {
  std::int64_t training = 0, validation = 0, test = 0;
  bool operator==(const SplitCounts&) const = default;
};

// `train_ratio` in (0, 1], `test_share` (of what is held out) in [0, 1]; `rows` at least 1.
SplitCounts split_counts(std::int64_t rows, double train_ratio, double test_share);

// The rows in the order of the files: first those of test, then validation, then training.
std::vector<std::int64_t> split_order(std::int64_t rows, std::uint64_t split_seed);

// splitmix64(base + (index + 1) * 0x9E3779B97F4A7C15)
std::uint64_t order_key(std::int64_t index, std::uint64_t base);

// 0 .. count-1 sorted by order_key(i, base), ties by i.
std::vector<std::int64_t> hashed_order(std::int64_t count, std::uint64_t base);

}  // namespace anneal
