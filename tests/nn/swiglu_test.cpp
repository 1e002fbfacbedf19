#include "nn/swiglu.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/sigmoid.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/tensors.h"

namespace anneal {
namespace {

constexpr double kRoundingFloat32 = 1e-6;   // a few float32 operations, relative to the largest value
constexpr double kFiniteDifference = 1e-7;  // central differences in float64 with steps of 1e-4
constexpr double kRoundingBf16 = 0x1.0p-8;  // half a unit in the last place
constexpr std::int64_t kSizes[] = {1, 7, 16, 172, 40'000};  // partial vectors, and several tasks

at::Tensor by_definition(const at::Tensor& gate, const at::Tensor& up) {
  return in_double(gate) * at::sigmoid(in_double(gate)) * in_double(up);
}

struct Gradients {
  at::Tensor gate, up;
};

Gradients by_formula(const at::Tensor& d, const at::Tensor& gate, const at::Tensor& up) {
  const auto g = in_double(gate), s = at::sigmoid(g);
  return {in_double(d) * in_double(up) * s * (1 + g * (1 - s)), in_double(d) * g * s};
}

struct Case {
  at::Tensor gate, up, d;
  Case(std::int64_t size, at::ScalarType type)
      : gate(random_tensor({size}, 1, at::kDouble).mul(9).to(type)),
        up(random_tensor({size}, 2, type)),
        d(random_tensor({size}, 3, type)) {}
};

// Oracle: the definition in float64.
TEST(SwiGlu, ForwardEqualsTheDefinition) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const auto size : kSizes) {
      const Case c(size, type);
      auto out = at::empty_like(c.gate);
      swiglu(c.gate, c.up, out);
      const double bound = type == at::kFloat ? kRoundingFloat32 : kRoundingBf16;
      EXPECT_LT(relative_error(out, by_definition(c.gate, c.up)), bound) << size;
      if (type == at::kBFloat16) {
        EXPECT_TRUE(is_rounded_to_bf16(out, by_definition(c.gate, c.up))) << size;
      }
      plain::swiglu(c.gate, c.up, out);
      EXPECT_LT(relative_error(out, by_definition(c.gate, c.up)), bound) << size;
    }
}

// Oracle: central differences of the definition in float64.
TEST(SwiGlu, TheFormulaOfTheGradientsIsTheSlope) {
  const Case c(50, at::kDouble);
  const auto gradients = by_formula(c.d, c.gate, c.up);
  const double step = 1e-4;
  const auto slope = [&](const at::Tensor& above, const at::Tensor& below) {
    return in_double(c.d) * (above - below) / (2 * step);
  };
  const auto by_gate = slope(by_definition(c.gate + step, c.up), by_definition(c.gate - step, c.up));
  const auto by_up = slope(by_definition(c.gate, c.up + step), by_definition(c.gate, c.up - step));
  EXPECT_LT(relative_error(gradients.gate, by_gate), kFiniteDifference);
  EXPECT_LT(relative_error(gradients.up, by_up), kFiniteDifference);
}

// Oracle: the formula above, in float64.
TEST(SwiGlu, BackwardEqualsTheFormula) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const auto size : kSizes) {
      for (const auto backward : {swiglu_backward, plain::swiglu_backward}) {
        Case c(size, type);
        const auto wanted = by_formula(c.d, c.gate, c.up);
        backward(c.d, c.gate, c.up);
        const double bound = type == at::kFloat ? kRoundingFloat32 : kRoundingBf16;
        EXPECT_LT(relative_error(c.gate, wanted.gate), bound) << size;
        EXPECT_LT(relative_error(c.up, wanted.up), bound) << size;
      }
    }
}

// Oracle: the limits; silu(g) is 0 far below zero and g far above, its slope 0 and 1.
TEST(SwiGlu, FarGatesReachTheLimits) {
  for (const double size : {30.0, 80.0, 90.0, 104.0, 120.0, 200.0, 1000.0, 1e5, 1e30}) {
    for (const double sign : {-1.0, 1.0}) {
      const double g = sign * size, silu = sign > 0 ? g : 0, slope = sign > 0 ? 1 : 0;
      auto gate = at::full({20}, g, at::kFloat), up = at::full({20}, 2, at::kFloat);
      auto out = at::empty_like(gate);
      swiglu(gate, up, out);
      const double near = size * 1e-6;  // exp(-30) * 30 is below it
      EXPECT_NEAR(out[0].item<double>(), 2 * silu, near) << g;
      EXPECT_NEAR(out[19].item<double>(), 2 * silu, near) << g;
      swiglu_backward(at::full({20}, 3, at::kFloat), gate, up);
      EXPECT_NEAR(gate[19].item<double>(), 6 * slope, 1e-6) << g;
      EXPECT_NEAR(up[19].item<double>(), 3 * silu, 3 * near) << g;
    }
  }
}

// Oracle: a NaN stays a NaN.
TEST(SwiGlu, NanStaysNan) {
  const auto bad = at::full({20}, NAN, at::kFloat), good = at::full({20}, 1, at::kFloat);
  auto out = at::empty_like(bad);
  swiglu(bad, good, out);
  EXPECT_TRUE(std::isnan(out[3].item<float>()));
  swiglu(good, bad, out);
  EXPECT_TRUE(std::isnan(out[3].item<float>()));
}

}  // namespace
}  // namespace anneal
