#include "models/token_batch.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/tensors.h"

namespace anneal {
namespace {

using Numbers = std::vector<std::int64_t>;

Numbers numbers(const at::Tensor& tensor) {
  const auto* from = tensor.const_data_ptr<std::int64_t>();
  return {from, from + tensor.numel()};
}

const std::vector<std::int32_t> kFirst{10, 11, 12, 13}, kSecond{20}, kThird{30, 31, 32};

// Oracle: numbers by hand.
TEST(TokenBatch, LaysSamplesEndToEnd) {
  const std::vector<SampleView> samples{{kFirst, 2}, {kSecond, 0}, {kThird, 1}};
  const auto batch = make_token_batch(samples, at::kCPU);
  EXPECT_EQ(batch.tokens(), 8);
  EXPECT_EQ(batch.samples(), 3);
  EXPECT_EQ(numbers(batch.ids_N), (Numbers{10, 11, 12, 13, 20, 30, 31, 32}));
  EXPECT_EQ(numbers(batch.positions_N), (Numbers{0, 1, 2, 3, 0, 0, 1, 2}));
  EXPECT_EQ(batch.segment_starts, (Numbers{0, 4, 5, 8}));
  EXPECT_EQ(numbers(batch.trained_rows_M), (Numbers{1, 2, 5, 6})) << "position t predicts token t + 1";
  EXPECT_EQ(numbers(batch.targets_M), (Numbers{12, 13, 31, 32}));
  EXPECT_EQ(batch.row_of_segment, (Numbers{0, 2, 2, 4}));
}

// Oracle: numbers by hand; nothing stands before the first token.
TEST(TokenBatch, PromptLengthsAtTheirEnds) {
  const auto targets = [](std::int64_t prompt_length) {
    const std::vector<SampleView> samples{{kFirst, prompt_length}};
    const auto batch = make_token_batch(samples, at::kCPU);
    EXPECT_EQ(trained_positions(samples[0]), batch.targets_M.numel());
    return numbers(batch.targets_M);
  };
  EXPECT_EQ(targets(0), (Numbers{11, 12, 13}));
  EXPECT_EQ(targets(1), (Numbers{11, 12, 13}));
  EXPECT_EQ(targets(3), Numbers{13});
  EXPECT_EQ(targets(4), Numbers{});
  EXPECT_EQ(targets(9), Numbers{});
  EXPECT_EQ(trained_positions({{}, 0}), 0);
}

// Oracle: numbers by hand. Stretches at both ends of what is trained, next to each other, and within it.
TEST(TokenBatch, StretchesThatAreNotTrained) {
  const std::vector<std::int32_t> ids{10, 11, 12, 13, 14, 15, 16};
  const auto targets = [&](std::int64_t prompt_length, const std::vector<std::int32_t>& untrained) {
    const std::vector<SampleView> samples{{ids, prompt_length, untrained}};
    const auto batch = make_token_batch(samples, at::kCPU);
    EXPECT_EQ(trained_positions(samples[0]), batch.targets_M.numel());
    auto rows = numbers(batch.trained_rows_M);
    for (auto& row : rows) row = ids[row + 1];
    EXPECT_EQ(rows, numbers(batch.targets_M));
    return rows;
  };
  EXPECT_EQ(targets(2, {3, 5}), (Numbers{12, 15, 16}));
  EXPECT_EQ(targets(0, {1, 2, 4, 6}), (Numbers{12, 13, 16}));
  EXPECT_EQ(targets(1, {2, 3, 3, 5}), (Numbers{11, 15, 16}));
  EXPECT_EQ(targets(1, {1, 7}), Numbers{});
}

const std::vector<std::size_t> kOrdinals{0, 1, 2};

// Oracle: the keys of the uncut batch.
TEST(TokenBatch, DropoutKeysDoNotDependOnTheCut) {
  const std::vector<SampleView> all{{kFirst, 2}, {kSecond, 0}, {kThird, 1}}, tail{{kSecond, 0}, {kThird, 1}};
  const auto whole = numbers(dropout_row_keys(make_token_batch(all, at::kCPU), 42, 7, kOrdinals));
  const auto cut =
      numbers(dropout_row_keys(make_token_batch(tail, at::kCPU), 42, 7, std::span(kOrdinals).subspan(1)));
  ASSERT_EQ(whole.size(), 8U);
  EXPECT_EQ(cut, Numbers(whole.begin() + 4, whole.end()));
}

// Oracle: a key for each (seed, step, sample, position), none twice.
TEST(TokenBatch, DropoutKeysAreAllDifferent) {
  const std::vector<SampleView> samples{{kFirst, 2}, {kSecond, 0}, {kThird, 1}};
  const auto batch = make_token_batch(samples, at::kCPU);
  std::set<std::int64_t> keys;
  for (const std::uint64_t seed : {0, 1})
    for (const std::int64_t step : {0, 1, 2})
      for (const auto key : numbers(dropout_row_keys(batch, seed, step, kOrdinals))) keys.insert(key);
  EXPECT_EQ(keys.size(), 2U * 3 * 8);
}

}  // namespace
}  // namespace anneal
