// Tensors on their way into a file.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "models/causal_lm.h"

namespace anneal {

struct NamedValue {
  std::string name;
  at::Tensor value;
  std::optional<std::int64_t> first_element = {};  // of a part, flat, in all of the tensor flattened
};

// The float32 masters of all trained parameters; of shared ones this rank's parts.
std::vector<NamedValue> trained_values(const std::vector<Parameter*>& parameters);
inline std::vector<NamedValue> trained_values(const CausalLm& model) {
  return trained_values(model.parameters());
}
// The same for other tensors of the parameters' values: one for each parameter, in their order.
std::vector<NamedValue> named_values(const std::vector<Parameter*>& parameters,
                                     const std::vector<at::Tensor>& tensors);

// A view of the tensor's bytes; the tensor is contiguous on the CPU and outlives the view.
NamedTensor view_of(const std::string& name, const at::Tensor& tensor);

// The same of a tensor that is to be trusted: throws UserError(kNumerical) where a value is not finite.
NamedTensor checked_view(const std::string& name, const at::Tensor& tensor);

// Reads a file that was just written from the disk again. Throws UserError(kResources) where a tensor is
// missing or not equal.
void require_on_disk(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors);

}  // namespace anneal
