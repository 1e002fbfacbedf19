#include "engine/doctor_command.h"

#include <fmt/format.h>

#include <chrono>

#include "base/byte_size.h"
#include "base/error.h"
#include "base/memory.h"
#include "device/cuda_object.h"
#include "device/device.h"
#include "engine/selftest.h"
#include "nn/kernel_set.h"

namespace anneal {
namespace {

// 13020 is 13.2.
std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

void describe_devices() {
  fmt::print("processor: {}; {}; {} free\n", kernel_set(),
             multiplies_bf16(c10::kCPU) ? "has bf16 instructions" : "no bf16 instructions",
             byte_size_text(available_memory_bytes()));
  const auto& cuda = cuda_object();
  if (cuda.table == nullptr) {
    fmt::print("GPU: none can be used: {}\n", cuda.reason);
    return;
  }
  fmt::print("CUDA: driver {}, runtime {}\n", version_text(cuda.table->driver_version()),
             version_text(cuda.table->runtime_version()));
  for (int index = 0; index < cuda.devices; ++index) {
    const auto device = cuda.table->device(index);
    fmt::print("GPU {}: {}, compute capability {}.{}, {}\n", index, device.name, device.major, device.minor,
               byte_size_text(device.memory_bytes));
  }
}

bool passes_selftest(c10::Device device) {
  const auto start = std::chrono::steady_clock::now();
  bool passed = true;
  fmt::print("self-test of {}:\n", device_text(device));
  for (const auto& check : self_checks(device)) {
    const auto result = run_checks({check}).front();
    fmt::print("  {}\n", describe(result));
    passed = passed && result.passed();
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  fmt::print("{} in {:.1f} s\n", passed ? "passed" : "FAILED", seconds.count());
  return passed;
}

}  // namespace

int run_doctor(DoctorRequest& request, const std::set<std::string>&) {
  describe_devices();
  if (request.selftest == "none") return 0;
  return static_cast<int>(passes_selftest(resolve_device(request.selftest)) ? ExitCode::kOk
                                                                            : ExitCode::kResources);
}

}  // namespace anneal
