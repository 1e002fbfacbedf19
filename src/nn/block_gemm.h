// Products of large matrices in bfloat16 on the processor's matrix instructions, with weights as files hold
// them: 64 columns of a weight are packed for tile_gemm when their turn comes, and serve all rows. Sums are
// float32 and rounded once, so that a small product (a low-rank update) joins a large one unrounded. A row of
// a result depends on no other row. Shapes: M rows, K inner size, N columns.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include "nn/dropout.h"

namespace anneal {

enum class WeightLayout { kOutputsByInputs, kInputsByOutputs };  // [N, K] as a linear layer has it, or [K, N]

struct Factors {
  const at::Tensor& x_MK;  // rows of one piece each
  const at::Tensor& weight;
  WeightLayout layout;
};

// Which elements of a product are dropped; those that stay are divided by 1 - probability.
struct ProductDropout {
  DropoutKeys keys;
  double probability;
};

// True where these are worth their packing: bfloat16 on a processor with instructions for it, enough rows,
// and no PlainForms.
bool takes_block_gemm(const at::Tensor& x_MK);

// y = product (+ drop(update)), or y += the same. y is bfloat16, its rows of one piece each.
void multiply(const Factors& product, const std::optional<Factors>& update,
              const std::optional<ProductDropout>& drop, at::Tensor& y_MN, bool accumulate);

// True where the two below are, too: they write whole blocks of columns of contiguous float32.
bool takes_float_gemm(const at::Tensor& x_MK, std::int64_t columns);

// y = x W of a W [K, N] with a long K.
void multiply_long(const at::Tensor& x_MK, const at::Tensor& weight_KN, at::Tensor& y_MN);

// sums += a^T x: what the gradient of a weight takes from gradients of outputs a [M, I] and inputs x [M, J].
void add_transposed_product(const at::Tensor& a_MI, const at::Tensor& x_MJ, at::Tensor& sums_IJ);

}  // namespace anneal
