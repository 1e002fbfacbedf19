// What the CUDA object offers, as functions that its one symbol gives. Devices are numbered from 0.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "nn/attention.h"

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

namespace anneal {

struct CudaDevice {
  std::string name;
  int major, minor;  // compute capability
  std::int64_t memory_bytes;
};

struct CudaMemory {
  std::int64_t free_bytes;       // of the device, and what torch's allocator holds unused
  std::int64_t allocated_bytes;  // by tensors
  std::int64_t peak_bytes;       // the most that they have been
};

struct CudaTable {
  int (*device_count)(std::string& problem);  // problem: why there is none
  int (*driver_version)();                    // 13020 is 13.2
  int (*runtime_version)();
  CudaDevice (*device)(int index);
  void (*select)(int index);  // for this thread
  void (*synchronize)(int index);

  // Before the first allocation. Settings that the environment makes stay.
  void (*configure_allocator)();
  CudaMemory (*memory)(int index);
  void (*give_back_memory)();  // what the allocator holds unused

  // For copies beside the computation; of one device always the same stream.
  c10::Stream (*prefetch_stream)(int index);

  DeviceAttention attention;  // varlen FlashAttention-2

  c10::intrusive_ptr<c10d::Backend> (*make_nccl_backend)(c10::intrusive_ptr<c10d::Store> store, int rank,
                                                         int size, std::chrono::milliseconds timeout);
};

constexpr const char* kCudaTableSymbol = "anneal_cuda_table";
using GetCudaTable = const CudaTable* (*)();

}  // namespace anneal
