#include "engine/doctor_command.h"

#include <fmt/format.h>

#include <chrono>

#include "base/byte_size.h"
#include "base/error.h"
#include "device/cuda_object.h"
#include "device/device.h"
#include "doctor/finding.h"
#include "engine/selftest.h"
#include "hub/repository.h"
#include "net/http.h"
#include "nn/kernel_set.h"

namespace anneal {
namespace {

constexpr double kHubSeconds = 2;
constexpr long kServerErrors = 500;  // what a proxy says that gets no answer either

// 13020 is 13.2.
std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

Finding kernels_finding() {
  return {FindingState::kOk, "kernels",
          fmt::format("{}; layers multiply in {}", kernel_set(),
                      multiplies_bf16(c10::kCPU) ? "bf16" : "fp32, for want of bf16 instructions"),
          ""};
}

// Without a driver the machine is one to train on the processor with.
Finding no_gpu_finding(const std::string& reason) {
  const auto text = "none can be used: " + reason;
  if (reason.starts_with(kNoDriver)) return {FindingState::kOk, "GPU", text, ""};
  return {FindingState::kNotice, "GPU", text,
          "`nvidia-smi`, which says more; in a container `docker run --gpus all`; --device cpu needs none"};
}

// It is loaded only where there is a GPU.
Finding cuda_object_finding() {
  const auto path = cuda_object_path();
  if (std::filesystem::exists(path)) return {FindingState::kOk, "CUDA object", path.string(), ""};
  return {FindingState::kNotice, "CUDA object", path.string() + " is missing: no GPU can be used",
          "`make build`, or install the program again"};
}

Findings device_findings() {
  const auto& cuda = cuda_object();
  if (cuda.table == nullptr) return {no_gpu_finding(cuda.reason)};
  Findings findings = {
      {FindingState::kOk, "CUDA",
       fmt::format("driver {}, runtime {}, {} {}", version_text(cuda.table->driver_version()),
                   version_text(cuda.table->runtime_version()), cuda.devices,
                   cuda.devices == 1 ? "GPU" : "GPUs"),
       ""}};
  for (int index = 0; index < cuda.devices; ++index) {
    const auto device = cuda.table->device(index);
    findings.push_back({FindingState::kOk, fmt::format("GPU {}", index),
                        fmt::format("{}, compute capability {}.{}, {}", device.name, device.major,
                                    device.minor, byte_size_text(device.memory_bytes)),
                        ""});
  }
  return findings;
}

// A machine without the network is no worse for it.
Finding connection_finding() {
  const auto endpoint = hub_endpoint();
  if (is_hub_offline()) return {FindingState::kOk, "connection", "not tried: the hub is switched off", ""};
  const auto answer = http_get(endpoint, "", kHubSeconds);
  if (answer.status != 0 && answer.status < kServerErrors)
    return {FindingState::kOk, "connection", fmt::format("{} answers", endpoint), ""};
  const auto reason = answer.status == 0 ? answer.error : fmt::format("status {}", answer.status);
  return {FindingState::kNotice, "connection", fmt::format("{} cannot be reached: {}", endpoint, reason),
          "the network, its proxy (https_proxy) or HF_ENDPOINT; models and data of this machine need none"};
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
  Console console;
  say_findings(console, {kernels_finding()});
  say_findings(console, {cuda_object_finding()});
  say_findings(console, device_findings());
  say_findings(console, {connection_finding()});
  if (request.selftest == "none") return 0;
  return static_cast<int>(passes_selftest(resolve_device(request.selftest)) ? ExitCode::kOk
                                                                            : ExitCode::kResources);
}

}  // namespace anneal
