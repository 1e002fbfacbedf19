#include "checkpoint/tensor_file.h"

#include <ATen/ops/isfinite.h>

#include "models/causal_lm.h"

namespace anneal {

NamedTensor view_of(const std::string& name, const at::Tensor& tensor) {
  TORCH_CHECK(tensor.is_contiguous() && tensor.is_cpu());
  const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
  return {name, {dtype_of(tensor.scalar_type()), tensor.sizes().vec(), {bytes, tensor.nbytes()}}};
}

NamedTensor checked_view(const std::string& name, const at::Tensor& tensor) {
  if (!at::isfinite(tensor).all().item<bool>())
    fail(ExitCode::kNumerical, "tensor '" + name + "' holds values that are not finite", "checkpoint",
         "lower the learning rate; the last good checkpoint is kept");
  return view_of(name, tensor);
}

}  // namespace anneal
