#include "nn/dora.h"

#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <array>

#include "nn/plain_forms.h"
#include "tests/support/simd_targets.h"
#include "tests/support/tensors.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

constexpr double kFloat32 = 2e-6;  // sums of up to 300 products in float32, relative to the largest value
constexpr double kBf16 = 5e-3;     // results rounded to 8 bits
constexpr at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16};

double bound(at::ScalarType type) { return type == at::kFloat ? kFloat32 : kBf16; }

void expect_formulas(at::ScalarType type, const std::string& where) {
  for (const auto& [rows, columns] : {std::array<std::int64_t, 2>{1, 5}, {130, 300}, {70, 256}}) {
    const auto a = random_tensor({rows, columns}, 1, type), b = random_tensor({rows, columns}, 2, type);
    const auto factor = random_tensor({columns}, 3);
    const auto scaled = in_double(a) * in_double(factor);
    auto set = b.clone(), added = b.clone();
    scale_columns(a, factor, set, /*accumulate=*/false);
    scale_columns(a, factor, added, /*accumulate=*/true);
    EXPECT_LT(relative_error(set, scaled), bound(type)) << where;
    EXPECT_LT(relative_error(added, scaled + in_double(b)), bound(type)) << where;
    const auto dots = column_dots(a, b), squares = row_squares(a);
    EXPECT_LT(relative_error(dots, (in_double(a) * in_double(b)).sum(0)), kFloat32) << where;
    EXPECT_LT(relative_error(squares, in_double(a).square().sum(1)), kFloat32) << where;
    EXPECT_TRUE(dots.scalar_type() == at::kFloat && squares.scalar_type() == at::kFloat);
  }
}

// Oracle: the formulas in float64, on every SIMD target and in the plain form.
TEST(Dora, ColumnsAndRowsEqualTheFormulas) {
  for (const auto type : kTypes) {
    for_each_simd_target([&](const char* target) { expect_formulas(type, target); });
    const PlainForms plain_forms;
    expect_formulas(type, "plain");
  }
}

// Oracle: the rows of W + scale B A in float64.
TEST(Dora, RowSquaresNeedNoSum) {
  const auto a = random_tensor({4, 300}, 2), b = random_tensor({40, 4}, 3);
  for (const auto type : kTypes)
    for (const double scale : {0.1, 2.0}) {
      const auto weight = random_tensor({40, 300}, 1, type), a_low = a.to(type), b_low = b.to(type);
      const auto found = adapted_row_squares(weight, row_squares(weight), a_low, b_low, scale);
      const auto adapted = in_double(weight) + at::mm(in_double(b_low), in_double(a_low)) * scale;
      EXPECT_LT(relative_error(found, adapted.square().sum(1)), bound(type)) << scale;
    }
}

// Oracle: the row that is zero, and the text of the error.
TEST(Dora, ARowOfZerosGivesNoDirection) {
  auto lengths = random_tensor({6}, 1).abs();
  const auto bounds = at::zeros({6});
  require_directions(lengths, bounds, "layer");
  lengths[4] = 0;
  const auto text = expect_user_error(ExitCode::kModel, "row 4 is zero",
                                      [&] { require_directions(lengths, bounds, "layer"); });
  EXPECT_NE(text.find("layer.weight"), text.npos);
}

}  // namespace
}  // namespace anneal
