// Tensors on their way into a file.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "models/causal_lm.h"

namespace anneal {

struct NamedValue {
  std::string name;
  at::Tensor value;
};

// The float32 masters of all trained parameters.
std::vector<NamedValue> trained_values(const CausalLm& model);

// A view of the tensor's bytes; the tensor is contiguous on the CPU and outlives the view.
NamedTensor view_of(const std::string& name, const at::Tensor& tensor);

// The same of a tensor that is to be trusted: throws UserError(kNumerical) where a value is not finite.
NamedTensor checked_view(const std::string& name, const at::Tensor& tensor);

// Reads a file that was just written from the disk again. Throws UserError(kResources) where a tensor is
// missing or not equal.
void require_on_disk(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors);

}  // namespace anneal
