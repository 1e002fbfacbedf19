#include "nn/rope_frequencies.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace anneal {
namespace {

constexpr double kFrequencyFloat32 = 1e-6;  // relative; a power, a reciprocal and some products in float32

RopeParameters llama3(double theta, std::int64_t rotary_dim, double factor) {
  return {.kind = "llama3",
          .theta = theta,
          .rotary_dim = rotary_dim,
          .factor = factor,
          .original_max_position_embeddings = 8192};
}

// Oracle: theta^(-2i/D) in float64.
TEST(RopeParameters, FrequenciesFallGeometrically) {
  const auto frequency = inverse_frequencies({.theta = 500'000, .rotary_dim = 64}, 0);
  ASSERT_EQ(frequency.numel(), 32);
  EXPECT_EQ(frequency.scalar_type(), at::kFloat);
  for (std::int64_t i = 0; i < 32; ++i) {
    const double wanted = std::pow(500'000, -2.0 * static_cast<double>(i) / 64);
    EXPECT_NEAR(frequency[i].item<double>() / wanted, 1, kFrequencyFloat32);
  }
}

// Oracle: Llama 3.1's rule on one frequency, in float64.
TEST(RopeParameters, Llama3ScalingFollowsItsRule) {
  const auto frequency = inverse_frequencies(llama3(500'000, 128, 8), 0);
  int kept = 0, stretched = 0, between = 0;
  for (std::int64_t i = 0; i < 64; ++i) {
    const double unscaled = std::pow(500'000, -2.0 * static_cast<double>(i) / 128);
    const double wavelength = 2 * std::numbers::pi / unscaled;
    double wanted = unscaled;
    if (wavelength > 8192.0 / 1) {
      wanted = unscaled / 8;
      ++stretched;
    } else if (wavelength >= 8192.0 / 4) {
      const double smooth = (8192 / wavelength - 1) / (4 - 1);
      wanted = (1 - smooth) * unscaled / 8 + smooth * unscaled;
      ++between;
    } else {
      ++kept;
    }
    EXPECT_NEAR(frequency[i].item<double>() / wanted, 1, 3 * kFrequencyFloat32) << i;
  }
  EXPECT_TRUE(kept > 0 && stretched > 0 && between > 0);
}

// Oracle: hand numbers for Llama 3.2's scaling: 2 pi / frequency is 4000 between the bounds 2048 and 8192, so
// that smooth = (8192 / 4000 - 1) / 3 and the frequency is (1 - smooth) / 32 + smooth of itself.
TEST(RopeParameters, Llama3ScalingHandNumber) {
  const double theta =
      std::pow(4000 / (2 * std::numbers::pi), 2);  // element 1 of a head of 4 has theta^(-1/2)
  const auto frequency = inverse_frequencies(llama3(theta, 4, 32), 0);
  EXPECT_EQ(frequency[0].item<float>(), 1);
  EXPECT_NEAR(frequency[1].item<double>() * 4000 / (2 * std::numbers::pi), 0.3696667, 1e-5);
}

}  // namespace
}  // namespace anneal
