// The two element types that kernels know. Everything is float in registers.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>

namespace anneal {

// Calls kernel(T*()) with T the tensor's element type.
template <class Kernel>
void dispatch_element_type(at::ScalarType type, const Kernel& kernel) {
  if (type == at::kBFloat16)
    kernel(static_cast<c10::BFloat16*>(nullptr));
  else if (type == at::kFloat)
    kernel(static_cast<float*>(nullptr));
  else
    TORCH_CHECK(false, "kernels take float32 and bfloat16, not ", type);
}

}  // namespace anneal
