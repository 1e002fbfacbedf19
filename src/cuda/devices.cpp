#include "cuda/devices.h"

#include <ATen/Context.h>
#include <c10/core/AllocatorConfig.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <cstdlib>
#include <map>
#include <mutex>

namespace anneal::cuda {
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

// Of all pools together.
constexpr auto kAggregate = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);

}  // namespace

int device_count(std::string& problem) {
  int devices = 0;
  const auto error = cudaGetDeviceCount(&devices);
  if (error == cudaSuccess && devices > 0) return devices;
  problem = error == cudaSuccess ? "the CUDA runtime finds no device"
                                 : std::string("the CUDA runtime says: ") + cudaGetErrorString(error);
  cudaGetLastError();  // it is kept otherwise, and comes up in a later call
  return 0;
}

int driver_version() {
  int version = 0;
  cudaDriverGetVersion(&version);
  return version;
}

int runtime_version() {
  int version = 0;
  cudaRuntimeGetVersion(&version);
  return version;
}

CudaDevice device(int index) {
  cudaDeviceProp properties{};
  C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
  return {properties.name, properties.major, properties.minor,
          static_cast<std::int64_t>(properties.totalGlobalMem)};
}

void select(int index) {
  at::globalContext().lazyInitDevice(c10::kCUDA);
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
}

void synchronize(int index) {
  const auto before = c10::cuda::current_device();
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
  c10::cuda::device_synchronize();
  c10::cuda::set_device(before);
}

// Segments that grow do not break up where micro-batches differ in length.
void configure_allocator() {
  for (const char* name : {"PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"})
    if (std::getenv(name) != nullptr) return;
  c10::CachingAllocator::setAllocatorSettings("expandable_segments:True");
}

CudaMemory memory(int index) {
  const auto device = static_cast<c10::DeviceIndex>(index);
  const auto stats = allocator::getDeviceStats(device);
  const auto held = stats.reserved_bytes[kAggregate].current - stats.allocated_bytes[kAggregate].current;
  const auto [free, total] = allocator::get()->getMemoryInfo(device);
  return {static_cast<std::int64_t>(free) + held, stats.allocated_bytes[kAggregate].current,
          stats.allocated_bytes[kAggregate].peak};
}

void give_back_memory() { allocator::emptyCache(); }

c10::Stream prefetch_stream(int index) {
  static std::mutex mutex;
  static std::map<int, c10::Stream> streams;
  const std::lock_guard lock(mutex);
  const auto found = streams.find(index);
  if (found != streams.end()) return found->second;
  const c10::Stream stream =
      c10::cuda::getStreamFromPool(/*isHighPriority=*/true, static_cast<c10::DeviceIndex>(index));
  return streams.emplace(index, stream).first->second;
}

}  // namespace anneal::cuda
