// The shared object's only symbol.
#include "cuda/devices.h"
#include "cuda/flash_attention.h"
#include "cuda/nccl_backend.h"

namespace anneal::cuda {
namespace {

constexpr CudaTable kTable{
    .device_count = device_count,
    .driver_version = driver_version,
    .runtime_version = runtime_version,
    .device = device,
    .select = select,
    .synchronize = synchronize,
    .configure_allocator = configure_allocator,
    .memory = memory,
    .give_back_memory = give_back_memory,
    .prefetch_stream = prefetch_stream,
    .attention = {takes_flash_attention, flash_attention, flash_attention_backward},
    .make_nccl_backend = make_nccl_backend,
};

}  // namespace
}  // namespace anneal::cuda

extern "C" __attribute__((visibility("default"))) const anneal::CudaTable* anneal_cuda_table() {
  return &anneal::cuda::kTable;
}
