// RMSNorm: y = x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang and Sennrich 2019), reckoned in
// float32. Shapes: N rows, D width.
#pragma once
#include <ATen/core/Tensor.h>

namespace anneal {

// Writes y_ND (dtype of x) and inverse_rms_N (float32), which backward needs. weight_D is float32. All
// contiguous.
void rms_norm(const at::Tensor& x_ND, const at::Tensor& weight_D, double eps, at::Tensor& y_ND,
              at::Tensor& inverse_rms_N);

// dx_ND = or += the gradient of x. In place on dy is allowed (dx == dy).
void rms_norm_backward(const at::Tensor& dy_ND, const at::Tensor& x_ND, const at::Tensor& weight_D,
                       const at::Tensor& inverse_rms_N, at::Tensor& dx_ND, bool accumulate);

// The gradient of the weight, float32.
at::Tensor rms_norm_weight_gradient(const at::Tensor& dy_ND, const at::Tensor& x_ND,
                                    const at::Tensor& inverse_rms_N);

namespace plain {  // the same in ATen operations: the meaning, the oracle of the kernels, and the path of
                   // devices
void rms_norm(const at::Tensor& x_ND, const at::Tensor& weight_D, double eps, at::Tensor& y_ND,
              at::Tensor& inverse_rms_N);
void rms_norm_backward(const at::Tensor& dy_ND, const at::Tensor& x_ND, const at::Tensor& weight_D,
                       const at::Tensor& inverse_rms_N, at::Tensor& dx_ND, bool accumulate);
}  // namespace plain

}  // namespace anneal
