#include "base/random.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <set>

namespace anneal {
namespace {

constexpr std::uint64_t kGamma = 0x9E3779B97F4A7C15ULL;

// Oracle: the published outputs of the SplitMix64 generator seeded with 1234567.
TEST(Random, SplitMix64GivesThePublishedStream) {
  constexpr std::uint64_t kPublished[] = {6457827717110365317ULL, 3203168211198807973ULL,
                                          9817491932198370423ULL, 4593380528125082431ULL,
                                          16408922859458223821ULL};
  std::uint64_t state = 1234567;
  for (const auto wanted : kPublished) EXPECT_EQ(splitmix64(state += kGamma), wanted);
}

// Oracle: the definition; the part number p of a key is output p of the generator whose state is the key.
TEST(Random, MixIsTheStreamOfItsKey) {
  for (const std::uint64_t key : {0ULL, 42ULL, ~0ULL})
    for (std::uint64_t part = 0; part < 5; ++part)
      EXPECT_EQ(mix(key, part), splitmix64(key + (part + 1) * kGamma));
  EXPECT_NE(mix(mix(1, 2), 3), mix(mix(1, 3), 2)) << "the order of the parts counts";
}

// Oracle: the published FNV-1a values of "", "a" and "foobar".
TEST(Random, HashNameIsFnv1a) {
  EXPECT_EQ(hash_name(""), 0xCBF29CE484222325ULL);
  EXPECT_EQ(hash_name("a"), 0xAF63DC4C8601EC8CULL);
  EXPECT_EQ(hash_name("foobar"), 0x85944171F73967E8ULL);
}

// Oracle: hand numbers; the top 53 bits over 2^53.
TEST(Random, UnitIntervalHasItsEnds) {
  EXPECT_EQ(to_unit_interval(0), 0.0);
  EXPECT_EQ(to_unit_interval(2047), 0.0);
  EXPECT_EQ(to_unit_interval(2048), 0x1.0p-53);
  EXPECT_EQ(to_unit_interval(1ULL << 63), 0.5);
  EXPECT_EQ(to_unit_interval(~0ULL), 1 - 0x1.0p-53);
}

// Oracle: mean, variance and chi-square of the uniform distribution.
TEST(Random, UnitIntervalIsUniform) {
  constexpr int kDraws = 200'000, kBins = 64;
  constexpr double kMeanBound = 5 / 1549.19;             // five standard errors, sqrt(12 * kDraws) = 1549.19
  constexpr double kVarianceBound = 5 * 0.0745 / 447.2;  // x^2's deviation over sqrt(kDraws), five times
  constexpr double kChiSquareBound = 63 + 5 * 11.225;    // 63 degrees of freedom: deviation sqrt(2 * 63)
  std::array<int, kBins> counts{};
  double sum = 0, squares = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    const double value = to_unit_interval(mix(16257, draw));
    ASSERT_TRUE(value >= 0 && value < 1);
    ++counts[static_cast<int>(value * kBins)];
    sum += value;
    squares += (value - 0.5) * (value - 0.5);
  }
  EXPECT_NEAR(sum / kDraws, 0.5, kMeanBound);
  EXPECT_NEAR(squares / kDraws, 1.0 / 12, kVarianceBound);
  double chi_square = 0;
  for (const int count : counts) chi_square += std::pow(count - double(kDraws) / kBins, 2) * kBins / kDraws;
  EXPECT_LT(chi_square, kChiSquareBound);
}

// Oracle: a bijection of 64 bits; the keys of neighbouring tuples are all different.
TEST(Random, NeighbouringTuplesHaveKeysOfTheirOwn) {
  std::set<std::uint64_t> keys;
  for (std::uint64_t seed = 0; seed < 10; ++seed)
    for (std::uint64_t step = 0; step < 30; ++step)
      for (std::uint64_t sample = 0; sample < 30; ++sample) keys.insert(mix(mix(seed, step), sample));
  EXPECT_EQ(keys.size(), 9000U);
}

}  // namespace
}  // namespace anneal
