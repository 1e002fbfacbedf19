// Devices, their memory and their streams, through torch's own layer over CUDA.
#pragma once
#include "device/cuda_table.h"

namespace anneal::cuda {

int device_count(std::string& problem);
int driver_version();
int runtime_version();
CudaDevice device(int index);
void select(int index);
void synchronize(int index);
void configure_allocator();
CudaMemory memory(int index);
void give_back_memory();
c10::Stream prefetch_stream(int index);

}  // namespace anneal::cuda
