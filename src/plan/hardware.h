// Devices that a training can be sized for.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace anneal {

struct Hardware {
  std::string name;  // as --hardware takes it
  std::string title;
  std::int64_t memory_bytes;
  double peak_flops;  // a second: dense, in the compute dtype
  bool is_gpu;
  std::int64_t runtime_bytes;  // of libraries, contexts and workspaces in each process
};

// GPUs from the least memory to the most. Peaks are the makers' for dense bf16; memory is what the driver
// offers.
const std::vector<Hardware>& known_gpus();

// This machine's processor: the memory that is free on it, and a peak that is a guess from its cores.
Hardware this_processor(std::int64_t compute_bytes);

}  // namespace anneal
