// What DoRA (Liu et al. 2024) reckons beside products: a row of the adapted weight gives a direction alone,
// and its length is trained apart, as the magnitude: W' = magnitude / norm * (W + scale B A), by rows.
// Shapes: N tokens, I in features, O out features, R rank.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace anneal {

// The sum of squares of each row, float32.
at::Tensor row_squares(const at::Tensor& weight_OI);

// The squared lengths of the rows of W + scale B A, float32, without that matrix. weight_squares_O:
// row_squares(W). W and A are of one dtype.
at::Tensor adapted_row_squares(const at::Tensor& weight_OI, const at::Tensor& weight_squares_O,
                               const at::Tensor& a_RI, const at::Tensor& b_OR, double scale);

// Throws UserError(kModel) that names a row of the module whose length is not above its bound: it gives no
// direction.
void require_directions(const at::Tensor& lengths_O, const at::Tensor& bounds_O, const std::string& module);

// y_NO = x_NO * factor_O (float32), or y_NO += that. All contiguous; in place is allowed.
void scale_columns(const at::Tensor& x_NO, const at::Tensor& factor_O, at::Tensor& y_NO, bool accumulate);

// The sum of a * b over the rows, float32. Both contiguous, of one dtype.
at::Tensor column_dots(const at::Tensor& a_NO, const at::Tensor& b_NO);

namespace plain {  // the same in ATen operations
at::Tensor row_squares(const at::Tensor& weight_OI);
void scale_columns(const at::Tensor& x_NO, const at::Tensor& factor_O, at::Tensor& y_NO, bool accumulate);
at::Tensor column_dots(const at::Tensor& a_NO, const at::Tensor& b_NO);
}  // namespace plain

}  // namespace anneal
