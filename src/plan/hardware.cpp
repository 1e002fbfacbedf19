#include "plan/hardware.h"

#include <algorithm>
#include <thread>

#include "base/memory.h"

namespace anneal {
namespace {

constexpr std::int64_t operator""_GiB(long double size) {
  return static_cast<std::int64_t>(size * (1LL << 30));
}

// CUDA's context, workspaces of cuBLAS and NCCL, and what the allocator rounds up. Not measured.
constexpr std::int64_t kRuntimeOfGpu = 1.5_GiB;
// Anonymous memory of a training beside its large tensors, with a tokenizer of a few entries: torch, oneDNN,
// buffers of threads. Measured: 90 to 93 MB, with one thread and with two.
constexpr std::int64_t kRuntimeOfProcessor = 92'000'000;
// FLOP/s of a hardware thread in bf16 and in float32: measured on processors with AVX512-BF16.
constexpr double kPeakOfThread = 0.12e12, kFloatPeakOfThread = 0.05e12;

}  // namespace

const std::vector<Hardware>& known_gpus() {
  static const std::vector<Hardware> gpus{{"a100-40", "A100 40GB", 39.4_GiB, 312e12, true, kRuntimeOfGpu},
                                          {"a100-80", "A100 80GB", 79.2_GiB, 312e12, true, kRuntimeOfGpu},
                                          {"h100", "H100 80GB", 79.2_GiB, 989e12, true, kRuntimeOfGpu},
                                          {"h200", "H200", 139.8_GiB, 989e12, true, kRuntimeOfGpu},
                                          {"b200", "B200", 178.4_GiB, 2250e12, true, kRuntimeOfGpu}};
  return gpus;
}

Hardware this_processor(std::int64_t compute_bytes) {
  const double threads = std::max(1U, std::thread::hardware_concurrency());
  return {"cpu",
          "this processor",
          available_memory_bytes(),
          threads * (compute_bytes == 2 ? kPeakOfThread : kFloatPeakOfThread),
          false,
          kRuntimeOfProcessor};
}

}  // namespace anneal
