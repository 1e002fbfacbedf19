// SwiGLU (Shazeer 2020): silu(gate) * up, elementwise. All tensors contiguous, of one shape and dtype.
#pragma once
#include <ATen/core/Tensor.h>

namespace anneal {

void swiglu(const at::Tensor& gate, const at::Tensor& up, at::Tensor& activation);

// Overwrites gate and up with their gradients.
void swiglu_backward(const at::Tensor& d_activation, at::Tensor& gate, at::Tensor& up);

namespace plain {  // the same in ATen operations
void swiglu(const at::Tensor& gate, const at::Tensor& up, at::Tensor& activation);
void swiglu_backward(const at::Tensor& d_activation, at::Tensor& gate, at::Tensor& up);
}  // namespace plain

}  // namespace anneal
