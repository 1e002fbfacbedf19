// Tensors on their way into a file.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "formats/safetensors.h"

namespace anneal {

// A view of the tensor's bytes; the tensor is contiguous on the CPU and outlives the view. Throws UserError(kNumerical)
// where a value is not finite: such a tensor is never saved.
NamedTensor checked_view(const std::string& name, const at::Tensor& tensor);

}  // namespace anneal
