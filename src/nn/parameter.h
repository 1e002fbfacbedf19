// A trained tensor: the float32 master that the optimizer moves, its copy in the compute dtype, and its
// gradient.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace anneal {

struct Parameter {
  std::string name;     // Hugging Face's, or PEFT's for adapters
  at::Tensor value;     // float32
  at::Tensor compute;   // what layers multiply with; the same tensor as value where compute is float32
  at::Tensor gradient;  // float32, the shape of value

  Parameter(std::string name, const at::Tensor& initial, at::ScalarType compute_type);
  void refresh_compute();  // after value has changed
};

}  // namespace anneal
