// The shared object with all that needs CUDA.
#pragma once
#include <filesystem>
#include <string>

#include "device/cuda_table.h"

namespace anneal {

struct CudaObject {
  const CudaTable* table = nullptr;  // null where no GPU can be used
  int devices = 0;
  std::string reason;  // why it is null
};

// Loaded by the first call, where there are a driver and a device; without them nothing is loaded.
const CudaObject& cuda_object();

// Beside the program that runs.
std::filesystem::path cuda_object_path();

// Loads it whether there is a GPU or not; a table without devices is reported as `reason`, and kept.
CudaObject load_cuda_object(const std::filesystem::path& path);

// Asks the driver alone: "" where it has a device, else why not. Begins with kNoDriver where there is none.
std::string why_no_gpu();
constexpr const char* kNoDriver = "no NVIDIA driver";

}  // namespace anneal
