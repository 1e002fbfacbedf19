// An RMSNorm of a model: its weight, and what is reckoned with it. Shapes: N rows, D width.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "nn/parameter.h"
#include "nn/rms_norm.h"

namespace anneal {

struct NormWeight {
  std::string name;     // e.g. "model.layers.0.input_layernorm"
  at::Tensor weight_D;  // float32; the parameter's value where it is trained
  Parameter* parameter = nullptr;
};

struct Normed {
  at::Tensor y, inverse_rms;  // the latter for backward
};
Normed normed(const at::Tensor& x_ND, const NormWeight& norm, double eps);

// Adds to the gradient of the weight, where it is trained. x and dy may be of any shape with D last.
void add_norm_gradient(const NormWeight& norm, const at::Tensor& dy, const at::Tensor& x,
                       const at::Tensor& inverse_rms);

}  // namespace anneal
