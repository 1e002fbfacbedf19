#include "nn/packed_linear.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "nn/tile_gemm.h"
#include "tests/support/simd_targets.h"
#include "tests/support/tensors.h"

namespace anneal {
namespace {

struct Shape {
  std::int64_t rows, in, out, rank;
};
constexpr Shape kShapes[] = {{1, 64, 64, 4}, {3, 172, 100, 3}, {70, 1500, 130, 8}, {300, 33, 7, 1}};
constexpr at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16};

// Sums in float32 and one rounding of the result.
double bound(at::ScalarType type) { return type == at::kFloat ? 2e-6 : 5e-3; }

at::Tensor exact_product(const at::Tensor& x, const at::Tensor& weight) {
  return at::mm(x.to(at::kDouble), weight.to(at::kDouble).t());
}

TEST(PackedLinear, EqualsTheProductInFloat64) {
  for (const auto& shape : kShapes)
    for (const auto type : kTypes) {
      const auto x = random_tensor({shape.rows, shape.in}, 1, type);
      const auto weight = random_tensor({shape.out, shape.in}, 2, type);
      const auto y = PackedLinear(weight, type).forward(x);
      EXPECT_EQ(y.scalar_type(), type);
      EXPECT_LT(relative_error(y, exact_product(x, weight)), bound(type)) << shape.rows << " " << shape.in;
      const auto wide = PackedLinear(weight, type).forward(x, at::kFloat);
      EXPECT_LT(relative_error(wide, exact_product(x, weight)), bound(at::kFloat)) << shape.rows;
    }
}

TEST(PackedLinear, AddsTheLowRankUpdate) {
  for (const auto& shape : kShapes)
    for (const auto type : kTypes) {
      const auto x = random_tensor({shape.rows, shape.in}, 1, type);
      const auto weight = random_tensor({shape.out, shape.in}, 2, type);
      const auto a = random_tensor({shape.rank, shape.in}, 3, type);
      const auto b = random_tensor({shape.out, shape.rank}, 4, type);
      PackedLinear linear(weight, type);
      linear.add_low_rank(a, b, 0.5);
      const auto expected = exact_product(x, weight) + exact_product(exact_product(x, a), b) * 0.5;
      EXPECT_LT(relative_error(linear.forward(x), expected), 2 * bound(type))
          << shape.rows << " " << shape.in;
      const auto factors = random_tensor({shape.out}, 5);
      linear.scale_outputs(factors);
      EXPECT_LT(relative_error(linear.forward(x), expected * in_double(factors)), 2 * bound(type))
          << shape.rows << " " << shape.in << ", columns scaled";
    }
}

// What lets generation promise the same text for any batch.
TEST(PackedLinear, ARowDependsOnNoOtherRow) {
  for (const auto type : kTypes) {
    const auto x = random_tensor({300, 1500}, 1, type), weight = random_tensor({130, 1500}, 2, type);
    PackedLinear linear(weight, type);
    linear.add_low_rank(random_tensor({8, 1500}, 3, type), random_tensor({130, 8}, 4, type), 2);
    linear.scale_outputs(random_tensor({130}, 5));
    const auto all = linear.forward(x);
    for (const auto& [begin, end] : {std::pair<int, int>{0, 1}, {5, 12}, {63, 65}, {100, 132}, {255, 300}})
      EXPECT_TRUE(at::equal(linear.forward(x.slice(0, begin, end).contiguous()), all.slice(0, begin, end)))
          << begin << " to " << end;
  }
}

template <class T>
void expect_portable_gemm_is_right(at::ScalarType type, const char* target) {
  const std::int64_t m = 5, n = 37, k = 18;
  const auto a = random_tensor({m, k}, 1, type), b = random_tensor({n, k}, 2, type);
  std::vector<T> packed(k * n);
  for (std::int64_t row = 0; row < n; ++row)
    for (std::int64_t column = 0; column < k; ++column)
      packed[packed_index<T>(column, row, n)] = b.const_data_ptr<T>()[row * k + column];
  auto c = at::zeros({m, n});
  for (const bool accumulate : {false, true})
    portable::tile_gemm(m, n, k, a.const_data_ptr<T>(), k, packed.data(), c.mutable_data_ptr<float>(), n,
                        accumulate);
  EXPECT_LT(relative_error(c, exact_product(a, b) * 2), 2e-6) << target;
}

TEST(SimdTargets, TileProductsOfTheirOwn) {
  for_each_simd_target([](const char* target) {
    expect_portable_gemm_is_right<float>(at::kFloat, target);
    expect_portable_gemm_is_right<c10::BFloat16>(at::kBFloat16, target);
  });
}

}  // namespace
}  // namespace anneal
