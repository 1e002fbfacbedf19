#include "train/native_model.h"

#include "device/device.h"
#include "nn/kernel_set.h"

namespace anneal {

std::string NativeModel::kernels() const {
  return (model_.device.is_cpu() ? kernel_set() : device_text(model_.device)) +
         (model_.precision.compute == at::kBFloat16 ? ", bf16" : ", fp32");
}

}  // namespace anneal
