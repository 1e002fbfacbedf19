#include "device/device.h"

#include <cpuinfo.h>

#include <cstdlib>

#include "base/error.h"
#include "base/memory.h"
#include "device/cuda_object.h"
#include "device/tensor_memory.h"

namespace anneal {
namespace {

// Of the ranks on this machine.
int local_rank() {
  const char* text = std::getenv("LOCAL_RANK");
  return text != nullptr ? std::atoi(text) : 0;
}

c10::Device select_gpu() {
  const auto& cuda = cuda_object();
  const int index = local_rank();
  if (index >= cuda.devices)
    fail(ExitCode::kResources,
         "process " + std::to_string(index) + " of this machine has no GPU: there are " +
             std::to_string(cuda.devices),
         "--device", "start as many processes as there are GPUs, or give --device cpu");
  cuda.table->configure_allocator();
  cuda.table->select(index);
  use_device_attention(cuda.table->attention);
  return {c10::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

const CudaTable& table() { return *cuda_object().table; }

}  // namespace

c10::Device resolve_device(const std::string& option) {
  if (option == "cpu") return c10::kCPU;
  if (cuda_object().table != nullptr) return select_gpu();
  if (option == "cuda")
    fail(ExitCode::kResources, "no GPU can be used here: " + cuda_object().reason, "--device",
         "give --device cpu, or look at `anneal doctor`");
  return c10::kCPU;
}

std::vector<std::string> device_notes(const std::string& option, c10::Device device) {
  if (device.is_cuda()) return {"device: " + device_text(device)};
  if (option != "auto" || cuda_object().reason.starts_with(kNoDriver)) return {};
  return {"notice: running on the processor: " + cuda_object().reason};
}

std::string device_text(c10::Device device) {
  return device.is_cuda() ? device.str() + " (" + table().device(device.index()).name + ")" : device.str();
}

bool multiplies_bf16(c10::Device device) {
  constexpr int kAmpere = 8;
  if (device.is_cuda()) return table().device(device.index()).major >= kAmpere;
  return device.is_cpu() && cpuinfo_initialize() && cpuinfo_has_x86_avx512bf16();
}

void synchronize(c10::Device device) {
  if (device.is_cuda()) table().synchronize(device.index());
}

std::int64_t free_bytes(c10::Device device) {
  return device.is_cuda() ? table().memory(device.index()).free_bytes : available_memory_bytes();
}

std::int64_t used_bytes(c10::Device device) {
  return device.is_cuda() ? table().memory(device.index()).peak_bytes : resident_memory_bytes();
}

void give_back_memory(c10::Device device) {
  if (device.is_cuda()) table().give_back_memory();
  give_back_tensor_memory();
}

}  // namespace anneal
