// Tensors on their way into a file.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "formats/safetensors.h"

namespace anneal {

// A view of the tensor's bytes; the tensor is contiguous on the CPU and outlives the view.
NamedTensor view_of(const std::string& name, const at::Tensor& tensor);

// The same of a tensor that is to be trusted: throws UserError(kNumerical) where a value is not finite.
NamedTensor checked_view(const std::string& name, const at::Tensor& tensor);

}  // namespace anneal
