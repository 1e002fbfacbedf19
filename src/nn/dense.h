// A linear layer with a bias for inference, and the activation that follows it: y = f(x W^T + b).
// Shapes: N tokens, I in features, O out features.
#pragma once
#include <ATen/core/Tensor.h>

namespace anneal {

enum class Activation { kNone, kGelu };  // GELU with the error function (Hendrycks and Gimpel 2016)

// All of one dtype, float32 or bfloat16. Calls oneDNN with the activation fused: it is written for all
// processors, where the library behind at::linear keeps its AVX-512 code to one maker's.
at::Tensor dense(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& bias_O,
                 Activation activation = Activation::kNone);

namespace plain {  // the same in ATen operations: its meaning, and the path where oneDNN does not run
at::Tensor dense(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& bias_O,
                 Activation activation = Activation::kNone);
}

}  // namespace anneal
