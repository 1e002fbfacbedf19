// Dropout whose bits are a pure function of (row key, module, element): nothing to save, the same on every
// cut of a batch, on recompute, on any SIMD target and on any device. Two elements share one 32-bit hash, 16
// bits each, so the drop probability is rounded to a multiple of 2^-16. Shapes: N rows, D width.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace anneal {

struct DropoutKeys {
  at::Tensor row_keys_N;  // the bits of uint64 in int64; from (seed, step, sample, position)
  std::uint64_t module_key = 0;
};

// y = x * mask / (1 - probability)
void dropout(const at::Tensor& x_ND, const DropoutKeys& keys, double probability, at::Tensor& y_ND);

// sum += g * mask / (1 - probability), with the mask of dropout().
void add_dropout_backward(const at::Tensor& g_ND, const DropoutKeys& keys, double probability,
                          at::Tensor& sum_ND);

namespace plain {  // the same in ATen operations
at::Tensor dropout_mask(std::int64_t width, const DropoutKeys& keys, double probability);  // bool
void dropout(const at::Tensor& x_ND, const DropoutKeys& keys, double probability, at::Tensor& y_ND);
void add_dropout_backward(const at::Tensor& g_ND, const DropoutKeys& keys, double probability,
                          at::Tensor& sum_ND);
}  // namespace plain

}  // namespace anneal
