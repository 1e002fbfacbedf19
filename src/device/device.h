// The device of a run: which it is, and the few things that differ between devices.
#pragma once
#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <vector>

namespace anneal {

// `option` is auto, cpu or cuda. A GPU is that of LOCAL_RANK (torchrun, SLURM and the launcher set it), made
// ready for this process: call it before the first tensor. Throws UserError(kResources) where cuda is asked
// for and there is none, or fewer than ranks.
c10::Device resolve_device(const std::string& option);

// What a user should know of the choice: the GPU, or why there is none although the machine has a driver.
std::vector<std::string> device_notes(const std::string& option, c10::Device device);

std::string device_text(c10::Device device);  // "cpu", "cuda:0 (NVIDIA H100 80GB HBM3)"
bool multiplies_bf16(c10::Device device);     // whether it has instructions for it
void synchronize(c10::Device device);         // waits until what has been started is done
std::int64_t free_bytes(c10::Device device);  // that can be taken without swapping
std::int64_t used_bytes(c10::Device device);  // by this process; of a GPU the most that tensors have been
void give_back_memory(c10::Device device);    // what is kept for later

}  // namespace anneal
