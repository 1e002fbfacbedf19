#include "nn/dense.h"

#include <ATen/ops/erf.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/tensors.h"

namespace anneal {
namespace {

constexpr double kFloat32 = 3e-6;  // sums of up to 200 products in float32, relative to the largest value
constexpr double kBf16 = 1.2e-2;   // the result, and in the plain form what the activation reads, of 8 bits

// Oracle: the definition in float64 on the same inputs.
TEST(Dense, EqualsTheDefinition) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const std::int64_t rows : {1, 2, 31, 130})
      for (const auto activation : {Activation::kNone, Activation::kGelu}) {
        const auto x = random_tensor({rows, 200}, 1, type), weight = random_tensor({96, 200}, 2, type);
        const auto bias = random_tensor({96}, 3, type);
        auto wanted = at::mm(in_double(x), in_double(weight).t()) + in_double(bias);
        if (activation == Activation::kGelu) wanted = wanted * 0.5 * (1 + at::erf(wanted / std::sqrt(2.0)));
        const double tolerance = type == at::kFloat ? kFloat32 : kBf16;
        EXPECT_LT(relative_error(dense(x, weight, bias, activation), wanted), tolerance);
        EXPECT_LT(relative_error(plain::dense(x, weight, bias, activation), wanted), tolerance);
        EXPECT_EQ(dense(x, weight, bias, activation).scalar_type(), type);
      }
}

}  // namespace
}  // namespace anneal
