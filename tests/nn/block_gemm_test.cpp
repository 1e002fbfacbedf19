#include "nn/block_gemm.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include <array>

#include "tests/support/simd_targets.h"
#include "tests/support/tensors.h"

namespace anneal {
namespace {

struct Shape {
  std::int64_t rows, inner, columns, rank;
};
// Whole tiles and blocks; parts of them; more inner elements than one part; one row and one column.
constexpr Shape kShapes[] = {{128, 64, 128, 32}, {333, 1026, 100, 2}, {70, 34, 65, 6}, {1, 2, 1, 2}};
constexpr WeightLayout kLayouts[] = {WeightLayout::kOutputsByInputs, WeightLayout::kInputsByOutputs};

at::Tensor weight_for(WeightLayout layout, std::int64_t inner, std::int64_t columns, std::uint64_t seed) {
  return layout == WeightLayout::kOutputsByInputs ? random_tensor({columns, inner}, seed, at::kBFloat16)
                                                  : random_tensor({inner, columns}, seed, at::kBFloat16);
}

at::Tensor exact(const Factors& f) {
  const auto weight = in_double(f.weight);
  return at::mm(in_double(f.x_MK), f.layout == WeightLayout::kOutputsByInputs ? weight.t() : weight);
}

// Of float32 sums of the factors' products, rounded once.
::testing::AssertionResult is_close(const at::Tensor& y, const at::Tensor& expected, const Factors& f) {
  const auto x = f.x_MK.abs(), weight = f.weight.abs();
  const Factors sizes{x, weight, f.layout};
  const auto bound = expected.abs() * 0x1.0p-8 + (exact(sizes) + 1) * 1e-6;
  if ((in_double(y) - expected).abs().le(bound).all().item<bool>()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "relative error " << relative_error(y, expected);
}

// Operands of a product and of an update, the rows of x and of y parts of longer ones.
struct Case {
  Case(const Shape& shape, WeightLayout layout)
      : x(random_tensor({shape.rows, shape.inner + 6}, 1, at::kBFloat16).slice(1, 0, shape.inner)),
        weight(weight_for(layout, shape.inner, shape.columns, 2)),
        low(random_tensor({shape.rows, shape.rank}, 3, at::kBFloat16)),
        low_weight(weight_for(layout, shape.rank, shape.columns, 4)),
        y(random_tensor({shape.rows, shape.columns + 10}, 5, at::kBFloat16).slice(1, 0, shape.columns)),
        product{x, weight, layout},
        update{low, low_weight, layout} {}
  at::Tensor x, weight, low, low_weight, y;
  Factors product, update;
};

DropoutKeys keys_of(std::int64_t rows) {
  auto keys = at::empty({rows}, at::kLong);
  for (std::int64_t row = 0; row < rows; ++row)
    keys.mutable_data_ptr<std::int64_t>()[row] = static_cast<std::int64_t>(mix(7, row));
  return {keys, 11};
}

template <class Body>
void for_each_case(const Body& body) {
  for_each_simd_target([&](const char* target) {
    for (const auto& shape : kShapes)
      for (const auto layout : kLayouts) {
        SCOPED_TRACE(std::string(target) + ", rows " + std::to_string(shape.rows) + ", layout " +
                     std::to_string(static_cast<int>(layout)));
        Case one(shape, layout);
        body(one);
      }
  });
}

// Oracle: float64, rounded once.
TEST(BlockGemm, EqualsTheProductInFloat64) {
  for_each_case([](Case& c) {
    multiply(c.product, {}, {}, c.y, /*accumulate=*/false);
    EXPECT_TRUE(is_close(c.y, exact(c.product), c.product));
  });
}

TEST(BlockGemm, AddsToWhatIsThere) {
  for_each_case([](Case& c) {
    const auto expected = in_double(c.y) + exact(c.product) + exact(c.update);
    multiply(c.product, c.update, {}, c.y, /*accumulate=*/true);
    EXPECT_TRUE(is_close(c.y, expected, c.product));
  });
}

// Oracle: the plain mask on the exact update.
TEST(BlockGemm, DropsElementsOfTheUpdate) {
  for_each_case([](Case& c) {
    const auto keys = keys_of(c.x.size(0));
    const auto mask = in_double(plain::dropout_mask(c.y.size(1), keys, 0.25));
    const auto expected = exact(c.product) + exact(c.update) * mask / 0.75;
    multiply(c.product, c.update, ProductDropout{keys, 0.25}, c.y, /*accumulate=*/false);
    EXPECT_TRUE(is_close(c.y, expected, c.product));
  });
}

TEST(BlockGemm, LongInnerSizesKeepFloat32) {
  for_each_simd_target([](const char* target) {
    const auto x = random_tensor({70, 4500}, 1, at::kBFloat16),
               weight = random_tensor({4500, 128}, 2, at::kBFloat16);
    auto y = at::empty({70, 128}, at::kFloat);
    multiply_long(x, weight, y);
    EXPECT_LT(relative_error(y, at::mm(in_double(x), in_double(weight))), 2e-6) << target;
  });
}

TEST(BlockGemm, AddsTransposedProducts) {
  for_each_simd_target([](const char* target) {
    // Inner sizes that are odd, of whole eights, and of more than one part.
    for (const auto& [inner, rows, columns] : {std::array{133, 70, 64}, {128, 256, 128}, {2051, 13, 64}}) {
      const auto a = random_tensor({inner, rows + 3}, 1, at::kBFloat16).slice(1, 0, rows);
      const auto x = random_tensor({inner, columns}, 2, at::kBFloat16);
      auto sums = random_tensor({rows, columns}, 3);
      const auto expected = in_double(sums) + at::mm(in_double(a).t(), in_double(x));
      add_transposed_product(a, x, sums);
      EXPECT_LT(relative_error(sums, expected), 2e-6) << target << ", inner " << inner;
    }
  });
}

TEST(BlockGemm, ARowDependsOnNoOtherRow) {
  Case c({300, 1500, 130, 8}, WeightLayout::kInputsByOutputs);
  multiply(c.product, c.update, {}, c.y, /*accumulate=*/false);
  for (const auto& [begin, end] : {std::pair<int, int>{0, 1}, {5, 12}, {63, 65}, {100, 132}, {255, 300}}) {
    const auto x = c.x.slice(0, begin, end), low = c.low.slice(0, begin, end);
    auto y = at::empty({end - begin, 130}, at::kBFloat16);
    multiply({x, c.weight, c.product.layout}, Factors{low, c.low_weight, c.update.layout}, {}, y,
             /*accumulate=*/false);
    EXPECT_TRUE(at::equal(y, c.y.slice(0, begin, end))) << begin << " to " << end;
  }
}

}  // namespace
}  // namespace anneal
