#include "nn/rotary.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "nn/rope_frequencies.h"
#include "tests/support/tensors.h"

namespace anneal {
namespace {

constexpr double kRoundingFloat32 = 5e-7;  // two products and a sum, relative to values below 1
constexpr std::int64_t kHeadDims[] = {2, 8, 24, 64, 128, 200};  // halves with and without a partial vector

RopeTable table_for(std::int64_t tokens, std::int64_t head_dim) {
  return rope_table(at::arange(tokens, at::kLong) * 3, inverse_frequencies({.rotary_dim = head_dim}, 0));
}

// The rotation of pairs (i, i + F), one element at a time, in float64.
at::Tensor by_loops(const at::Tensor& x_NHD, double theta, std::int64_t position_step) {
  auto out = in_double(x_NHD).clone();
  const auto x = in_double(x_NHD).contiguous();
  const std::int64_t heads = x.size(1), width = x.size(2), half = width / 2;
  const auto* from = x.const_data_ptr<double>();
  auto* to = out.mutable_data_ptr<double>();
  for (std::int64_t token = 0; token < x.size(0); ++token)
    for (std::int64_t head = 0; head < heads; ++head)
      for (std::int64_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(position_step * token) * std::pow(theta, -2.0 * i / width);
        const auto first = (token * heads + head) * width + i, second = first + half;
        to[first] = from[first] * std::cos(angle) - from[second] * std::sin(angle);
        to[second] = from[second] * std::cos(angle) + from[first] * std::sin(angle);
      }
  return out;
}

// Oracle: the rotation by loops in float64; positions up to 57, where float32 angles are still sharp.
TEST(Rotary, RotatesPairsByTheirAngle) {
  constexpr double kAngle = 1e-5;  // 57 radians in float32, off by up to 4e-6
  for (const auto head_dim : kHeadDims) {
    auto x = random_tensor({20, 3, head_dim}, head_dim);
    const auto wanted = by_loops(x, 10'000, 3);
    apply_rope(x, table_for(20, head_dim), Rotation::kForward);
    EXPECT_LT(relative_error(x, wanted), kAngle) << head_dim;
  }
}

// Oracle: the plain form.
TEST(Rotary, KernelEqualsPlain) {
  for (const auto rotation : {Rotation::kForward, Rotation::kInverse})
    for (const auto head_dim : kHeadDims) {
      const auto table = table_for(37, head_dim);
      auto x = random_tensor({37, 2, head_dim}, head_dim);
      auto wanted = x.clone();
      plain::apply_rope(wanted, table, rotation);
      apply_rope(x, table, rotation);
      EXPECT_LT(relative_error(x, wanted), kRoundingFloat32) << head_dim;

      auto rounded = random_tensor({37, 2, head_dim}, head_dim, at::kBFloat16);
      auto exact = rounded.to(at::kFloat);
      plain::apply_rope(exact, table, rotation);
      apply_rope(rounded, table, rotation);
      EXPECT_TRUE(is_rounded_to_bf16(rounded, exact)) << head_dim;
    }
}

// Oracle: what stood there; and <forward x, y> = <x, inverse y>, which makes the inverse the gradient.
TEST(Rotary, InverseUndoesAndTransposes) {
  constexpr double kInnerProduct = 1e-4;  // sums of some thousand float32 values below 1
  for (const auto head_dim : kHeadDims) {
    const auto table = table_for(40, head_dim);
    const auto x = random_tensor({40, 2, head_dim}, 1), y = random_tensor({40, 2, head_dim}, 2);
    auto forward = x.clone(), back = y.clone();
    apply_rope(forward, table, Rotation::kForward);
    apply_rope(back, table, Rotation::kInverse);
    const double left = (in_double(forward) * in_double(y)).sum().item<double>();
    EXPECT_NEAR(left, (in_double(x) * in_double(back)).sum().item<double>(), kInnerProduct);
    apply_rope(forward, table, Rotation::kInverse);
    EXPECT_LT(relative_error(forward, x), 2 * kRoundingFloat32) << head_dim;
  }
}

// Oracle: hand numbers; a quarter turn takes (1, 0) to (0, 1), and position 0 changes nothing.
TEST(Rotary, HandNumbers) {
  const auto quarter = at::tensor(std::vector<float>{static_cast<float>(std::numbers::pi / 2)});
  const auto table = rope_table(at::tensor(std::vector<std::int64_t>{0, 1, 2}), quarter);
  auto x = at::tensor(std::vector<float>{1, 0, 1, 0, 1, 0}).view({3, 1, 2});
  apply_rope(x, table, Rotation::kForward);
  const float wanted[] = {1, 0, 0, 1, -1, 0};
  for (int at = 0; at < 6; ++at) EXPECT_NEAR(x.view({-1})[at].item<float>(), wanted[at], 1e-6);
}

}  // namespace
}  // namespace anneal
