#include "nn/rms_norm.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "tests/support/tensors.h"

namespace anneal {
namespace {

constexpr double kEps = 1e-5;
constexpr double kRoundingFloat32 =
    2e-6;  // sums of up to 1030 products in float32, relative to the largest value
constexpr double kFiniteDifference = 1e-7;  // central differences in float64 with steps of 1e-4
constexpr std::int64_t kWidths[] = {1, 12, 16, 64, 172, 1030};  // with and without a partial last vector

// The definition, in float64.
at::Tensor by_definition(const at::Tensor& x_ND, const at::Tensor& weight_D, double eps) {
  const auto x = in_double(x_ND);
  return x / ((x * x).mean(-1, true) + eps).sqrt() * in_double(weight_D);
}

struct Case {
  at::Tensor x, weight, dy, y, inverse_rms, dx;
  Case(std::int64_t rows, std::int64_t width, at::ScalarType type)
      : x(random_tensor({rows, width}, 1, type)),
        weight(random_tensor({width}, 2) + 1.5),
        dy(random_tensor({rows, width}, 3, type)),
        y(at::empty_like(x)),
        inverse_rms(at::empty({rows}, at::kFloat)),
        dx(at::empty_like(x)) {
    rms_norm(x, weight, kEps, y, inverse_rms);
  }
};

// The gradient of sum(dy * y) by x, in float64 from the derivative of the definition.
at::Tensor gradient_by_formula(const Case& c) {
  const auto x = in_double(c.x), scaled = in_double(c.dy) * in_double(c.weight);
  const auto r = at::rsqrt((x * x).mean(-1, true) + kEps);
  return r * scaled - x * r * r * r * (scaled * x).mean(-1, true);
}

// Oracle: the definition in float64.
TEST(RmsNorm, ForwardEqualsTheDefinition) {
  for (const auto width : kWidths) {
    const Case c(37, width, at::kFloat);
    EXPECT_LT(relative_error(c.y, by_definition(c.x, c.weight, kEps)), kRoundingFloat32) << width;
    const auto x = in_double(c.x);
    EXPECT_LT(relative_error(c.inverse_rms, at::rsqrt((x * x).mean(-1) + kEps)), kRoundingFloat32) << width;
    Case plain(37, width, at::kFloat);
    plain::rms_norm(c.x, c.weight, kEps, plain.y, plain.inverse_rms);
    EXPECT_LT(relative_error(plain.y, by_definition(c.x, c.weight, kEps)), kRoundingFloat32) << width;
  }
}

// Oracle: the definition in float64 on the same bfloat16 inputs, rounded once.
TEST(RmsNorm, Bfloat16IsRoundedOnce) {
  for (const auto width : kWidths) {
    Case c(9, width, at::kBFloat16);
    EXPECT_TRUE(is_rounded_to_bf16(c.y, by_definition(c.x, c.weight, kEps))) << width;
    if (width == 1) continue;  // there the gradient is the small difference of large numbers
    rms_norm_backward(c.dy, c.x, c.weight, c.inverse_rms, c.dx, /*accumulate=*/false);
    EXPECT_LT(relative_error(c.dx, gradient_by_formula(c)), 0x1.0p-8) << width;
  }
}

// Oracle: central differences of the definition in float64.
TEST(RmsNorm, TheFormulaOfTheGradientIsTheSlope) {
  const Case c(3, 12, at::kFloat);
  const auto gradient = gradient_by_formula(c);
  const double step = 1e-4;
  for (std::int64_t row = 0; row < 3; ++row)
    for (std::int64_t column = 0; column < 12; ++column) {
      auto up = in_double(c.x).clone(), down = in_double(c.x).clone();
      up[row][column] += step;
      down[row][column] -= step;
      const auto difference = by_definition(up, c.weight, kEps) - by_definition(down, c.weight, kEps);
      const double slope = (in_double(c.dy) * difference).sum().item<double>() / (2 * step);
      EXPECT_NEAR(gradient[row][column].item<double>(), slope, kFiniteDifference);
    }
}

// Oracle: the formula above, in float64.
TEST(RmsNorm, BackwardEqualsTheFormula) {
  for (const auto width : kWidths) {
    if (width == 1) continue;  // there the gradient is the small difference of large numbers
    Case c(37, width, at::kFloat);
    rms_norm_backward(c.dy, c.x, c.weight, c.inverse_rms, c.dx, /*accumulate=*/false);
    EXPECT_LT(relative_error(c.dx, gradient_by_formula(c)), kRoundingFloat32) << width;
    plain::rms_norm_backward(c.dy, c.x, c.weight, c.inverse_rms, c.dx, /*accumulate=*/false);
    EXPECT_LT(relative_error(c.dx, gradient_by_formula(c)), kRoundingFloat32) << width;
  }
}

// Oracle: the sum of what stood there and the gradient.
TEST(RmsNorm, BackwardAccumulates) {
  for (const auto width : kWidths) {
    if (width == 1) continue;
    Case c(5, width, at::kFloat);
    c.dx = random_tensor({5, width}, 4);
    const auto wanted = in_double(c.dx) + gradient_by_formula(c);
    rms_norm_backward(c.dy, c.x, c.weight, c.inverse_rms, c.dx, /*accumulate=*/true);
    EXPECT_LT(relative_error(c.dx, wanted), kRoundingFloat32) << width;
  }
}

// Oracle: the same call with an output of its own.
TEST(RmsNorm, BackwardInPlaceIsTheSame) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const auto width : kWidths) {
      Case c(5, width, type);
      rms_norm_backward(c.dy, c.x, c.weight, c.inverse_rms, c.dx, /*accumulate=*/false);
      rms_norm_backward(c.dy, c.x, c.weight, c.inverse_rms, c.dy, /*accumulate=*/false);
      EXPECT_TRUE(bits_are_equal(c.dy, c.dx)) << width;
    }
}

// Oracle: d(sum dy * y) / d(weight) = sum over rows of dy * x / rms, in float64.
TEST(RmsNorm, WeightGradientEqualsTheFormula) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const auto width : kWidths) {
      const Case c(37, width, type);
      const auto normalised = by_definition(c.x, at::ones({width}), kEps);
      const auto gradient = rms_norm_weight_gradient(c.dy, c.x, c.inverse_rms);
      EXPECT_EQ(gradient.scalar_type(), at::kFloat);
      EXPECT_LT(relative_error(gradient, (in_double(c.dy) * normalised).sum(0)), kRoundingFloat32) << width;
      EXPECT_EQ(c.x.scalar_type(), type) << "the input is left as it was";
    }
}

// Oracle: hand numbers; the mean square of (3, 4, 0, 0) is 6.25, and zeros stay zeros.
TEST(RmsNorm, HandNumbers) {
  auto x = at::zeros_like(at::empty({2, 4}));
  x[0][0] = 3;
  x[0][1] = 4;
  auto y = at::empty_like(x);
  auto inverse_rms = at::empty({2});
  rms_norm(x, at::ones({4}), 1e-12, y, inverse_rms);
  EXPECT_FLOAT_EQ(y[0][0].item<float>(), 1.2F);
  EXPECT_FLOAT_EQ(y[0][1].item<float>(), 1.6F);
  EXPECT_FLOAT_EQ(inverse_rms[0].item<float>(), 0.4F);
  EXPECT_EQ(y[1].abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace anneal
