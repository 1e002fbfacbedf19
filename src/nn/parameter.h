// A trained tensor: the float32 master that the optimizer moves, its copy in the compute dtype, and its
// gradient. Where ranks share it, each holds a part of master and gradient, and all of the others for as long
// as a layer is at work (models/sharded_unit.h).
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace anneal {

struct Parameter {
  std::string name;                 // Hugging Face's, or PEFT's for adapters
  std::vector<std::int64_t> shape;  // of all of it
  at::Tensor value;                 // float32, `shape`; of a shared one this rank's part, flat
  at::Tensor value_gradient;        // float32, as value: what the optimizer takes
  at::Tensor
      compute;  // `shape`: what layers multiply with; the same tensor as value where that is whole float32
  at::Tensor
      gradient;  // float32, `shape`: what layers add to; the same tensor as value_gradient unless shared
  bool is_shared = false;
  std::int64_t first_element = 0;  // of value, in all of it flattened

  // All of it on this rank.
  Parameter(std::string name, const at::Tensor& initial, at::ScalarType compute_type);
  // To be shared: `compute` is the initial tensor, mapped perhaps, until a unit takes it over.
  static Parameter unshared(std::string name, const at::Tensor& initial);
  // Of tensors that someone else computes with.
  static Parameter of_tensors(std::string name, const at::Tensor& value, const at::Tensor& gradient);

  std::int64_t numel() const;  // of all of it
  void refresh_compute();      // after value has changed; a shared one's comes with the next gathering

 private:
  Parameter() = default;
};

}  // namespace anneal
