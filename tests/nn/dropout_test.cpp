#include "nn/dropout.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/simd_targets.h"
#include "tests/support/tensors.h"

namespace anneal {
namespace {

at::Tensor row_keys(std::int64_t rows, std::uint64_t seed = 5) {
  auto keys = at::empty({rows}, at::kLong);
  for (std::int64_t row = 0; row < rows; ++row)
    keys.mutable_data_ptr<std::int64_t>()[row] = static_cast<std::int64_t>(mix(seed, row));
  return keys;
}

// The bits as they are promised, one element at a time: in each block of 32 elements, word w of 16 decides
// element w with its low half and element w + 16 with its high half.
at::Tensor mask_by_loops(std::int64_t width, const DropoutKeys& keys, double probability) {
  auto mask = at::empty({keys.row_keys_N.numel(), width}, at::kBool);
  const auto threshold = static_cast<std::uint32_t>(std::lround(probability * 65536));
  for (std::int64_t row = 0; row < mask.size(0); ++row)
    for (std::int64_t column = 0; column < width; ++column) {
      const auto key =
          mix(static_cast<std::uint64_t>(keys.row_keys_N[row].item<std::int64_t>()), keys.module_key);
      auto z = static_cast<std::uint32_t>(column / 32 * 16 + column % 16) + static_cast<std::uint32_t>(key);
      z = (z ^ (z >> 16)) * 0x7FEB352DU;
      z ^= static_cast<std::uint32_t>(key >> 32);
      z = (z ^ (z >> 15)) * 0x846CA68BU;
      z ^= z >> 16;
      mask[row][column] = (column % 32 < 16 ? z & 0xFFFF : z >> 16) >= threshold;
    }
  return mask;
}

at::Tensor mask_of(std::int64_t rows, std::int64_t width, double probability, std::uint64_t module_key = 11,
                   std::uint64_t seed = 5) {
  const auto keys = row_keys(rows, seed);
  return plain::dropout_mask(width, {keys, module_key}, probability);
}

// Oracle: the bits one at a time; keys of all 64 bits, so that products overflow.
TEST(Dropout, ThePlainMaskEqualsTheLoop) {
  for (const std::uint64_t module_key :
       {std::uint64_t{0}, std::uint64_t{11}, ~std::uint64_t{0}, hash_name("q_proj")})
    for (const std::int64_t width : {1, 15, 16, 17, 32, 33, 100})
      for (const double probability : {0.0, 0.1, 0.97}) {
        const DropoutKeys keys{row_keys(7), module_key};
        ASSERT_TRUE(bits_are_equal(plain::dropout_mask(width, keys, probability),
                                   mask_by_loops(width, keys, probability)))
            << module_key << ", width " << width;
      }
}

// Fisher's correlation of two masks of the same drop probability.
double correlation(const at::Tensor& a, const at::Tensor& b) {
  const auto x = in_double(a) - in_double(a).mean(), y = in_double(b) - in_double(b).mean();
  return ((x * y).mean() / ((x * x).mean() * (y * y).mean()).sqrt()).item<double>();
}

// Oracle: the plain mask; y = x / (1 - p) where it is set, bit for bit.
TEST(Dropout, KernelFollowsThePlainMask) {
  for_each_simd_target([](const char* target) {
    for (const double probability : {0.1, 0.5, 0.97})
      for (std::int64_t width = 1; width <= 100; ++width) {
        const auto keys = row_keys(4);
        const auto x = random_tensor({4, width}, width);
        auto y = at::empty_like(x);
        dropout(x, {keys, 11}, probability, y);
        const auto mask = plain::dropout_mask(width, {keys, 11}, probability);
        const auto wanted = x * static_cast<float>(1 / (1 - probability)) * mask.to(at::kFloat);
        ASSERT_TRUE(at::equal(y, wanted)) << target << ", width " << width << ", p " << probability;
        plain::dropout(x, {keys, 11}, probability, y);
        ASSERT_TRUE(at::equal(y, wanted)) << "plain form, width " << width << ", p " << probability;
      }
  });
}

// Oracle: the plain mask; the product rounded once.
TEST(Dropout, Bfloat16FollowsThePlainMask) {
  for_each_simd_target([](const char* target) {
    for (const std::int64_t width : {1, 33, 127, 1024}) {
      const auto keys = row_keys(20);
      const auto x = random_tensor({20, width}, width, at::kBFloat16);
      auto y = at::empty_like(x);
      dropout(x, {keys, 11}, 0.1, y);
      const auto mask = plain::dropout_mask(width, {keys, 11}, 0.1).to(at::kFloat);
      const auto wanted = (x.to(at::kFloat) * static_cast<float>(1 / 0.9) * mask).to(at::kBFloat16);
      ASSERT_TRUE(bits_are_equal(y, wanted)) << target << ", width " << width;
    }
  });
}

// Oracle: what stood there plus what dropout() gives for the gradient.
TEST(Dropout, BackwardAddsTheSameMask) {
  for (const std::int64_t width : {1, 31, 64, 345}) {
    const auto keys = row_keys(9);
    const auto gradient = random_tensor({9, width}, 1), before = random_tensor({9, width}, 2);
    auto forward = at::empty_like(gradient), sum = before.clone();
    dropout(gradient, {keys, 3}, 0.3, forward);
    add_dropout_backward(gradient, {keys, 3}, 0.3, sum);
    EXPECT_TRUE(at::equal(sum, before + forward)) << width;
    sum = before.clone();
    plain::add_dropout_backward(gradient, {keys, 3}, 0.3, sum);
    EXPECT_TRUE(at::equal(sum, before + forward)) << "plain form, " << width;
  }
}

// Oracle: the binomial distribution, over all elements and in every column of a block.
TEST(Dropout, DropsTheSharePromised) {
  constexpr double kDeviations = 5;
  constexpr std::int64_t kRows = 2000, kWidth = 64;
  for (const double probability : {0.001, 0.05, 0.1, 0.5, 0.9}) {
    const auto dropped = 1 - in_double(mask_of(kRows, kWidth, probability));
    const double variance = probability * (1 - probability), rounding = 0x1.0p-17;
    EXPECT_NEAR(dropped.mean().item<double>(), probability,
                kDeviations * std::sqrt(variance / (kRows * kWidth)) + rounding);
    const auto columns = dropped.mean(0);
    for (std::int64_t column = 0; column < kWidth; ++column)
      EXPECT_NEAR(columns[column].item<double>(), probability,
                  kDeviations * std::sqrt(variance / kRows) + rounding);
  }
}

// Oracle: independent masks; their correlation has a deviation of 1 / sqrt(elements).
TEST(Dropout, KeysGiveUncorrelatedMasks) {
  constexpr std::int64_t kRows = 128, kWidth = 128;
  constexpr double kBound = 5.0 / 128;  // five deviations of 1 / sqrt(kRows * kWidth)
  for (const double probability : {0.1, 0.5}) {
    const auto mask = mask_of(kRows, kWidth, probability);
    for (const std::uint64_t other : {12ULL, 0ULL, 11ULL << 32, ~0ULL}) {
      const auto changed = mask_of(kRows, kWidth, probability, other);
      EXPECT_LT(std::abs(correlation(mask, changed)), kBound) << "module " << other;
    }
    EXPECT_LT(std::abs(correlation(mask, mask_of(kRows, kWidth, probability, 11, 6))), kBound) << "seed";
    EXPECT_LT(std::abs(correlation(mask, mask.roll(1, 0))), kBound) << "neighbouring rows";
    for (const std::int64_t shift : {1, 2, 15, 16, 17, 32, 64})
      EXPECT_LT(std::abs(correlation(mask, mask.roll(shift, 1))), kBound) << "elements " << shift << " apart";
  }
}

// Oracle: the same keys give the same mask, wherever the row stands and however wide its neighbours are.
TEST(Dropout, ARowDependsOnItsKeysOnly) {
  const auto mask = mask_of(8, 96, 0.4);
  EXPECT_TRUE(at::equal(mask, mask_of(8, 96, 0.4)));
  const auto keys = row_keys(8);
  const auto later = keys.slice(0, 5);
  EXPECT_TRUE(at::equal(mask.slice(0, 5), plain::dropout_mask(96, {later, 11}, 0.4)));
  EXPECT_TRUE(at::equal(mask.slice(1, 0, 40), mask_of(8, 40, 0.4)));
}

// Oracle: the mean of x * mask / (1 - p) is x.
TEST(Dropout, KeepsTheMean) {
  constexpr std::int64_t kRows = 4000, kWidth = 50;
  const auto keys = row_keys(kRows);
  auto y = at::empty({kRows, kWidth});
  dropout(at::ones({kRows, kWidth}), {keys, 1}, 0.2, y);
  EXPECT_NEAR(in_double(y).mean().item<double>(), 1, 5 * 0.5 / std::sqrt(kRows * kWidth));
}

// Oracle: the stated rounding of the probability to multiples of 2^-16.
TEST(Dropout, ProbabilitiesRoundToSixteenBits) {
  EXPECT_TRUE(mask_of(100, 1000, 0.4 / 65536).all().item<bool>()) << "rounds to none";
  EXPECT_TRUE(mask_of(100, 1000, 0).all().item<bool>());
  EXPECT_FALSE(mask_of(100, 1000, 1 - 0.4 / 65536).any().item<bool>()) << "rounds to all";
  const auto few = mask_of(1000, 1000, 0.6 / 65536);  // rounds to 2^-16: 15.3 of a million
  EXPECT_NEAR(static_cast<double>((1 - in_double(few)).sum().item<double>()), 15.3, 5 * 3.9);
  const auto keys = row_keys(100);
  const auto x = random_tensor({100, 37}, 1);
  auto y = at::empty_like(x);
  dropout(x, {keys, 1}, 1e-7, y);
  EXPECT_LT(relative_error(y, x), 2e-7) << "a probability that rounds to zero changes nothing but a rounding";
}

}  // namespace
}  // namespace anneal
