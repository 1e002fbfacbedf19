#include "doctor/machine_findings.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "base/byte_size.h"
#include "base/control_group.h"
#include "base/machine.h"
#include "base/memory.h"
#include "hub/repository.h"
#include "launch/port_reservation.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kGigabyte = 1'000'000'000;
constexpr std::int64_t kLittleDisk = 20 * kGigabyte;  // 8 billion parameters take 16
constexpr std::int64_t kLittleMemory = 4 * kGigabyte;
constexpr std::int64_t kLittleSharedMemory = kGigabyte;  // a container gets 64 MB if nobody says more
constexpr rlim_t kFewFiles = 1024;

std::string features_text() {
  const std::pair<const char*, const char*> features[] = {
      {"avx2", "AVX2"},         {"avx512f", "AVX-512"}, {"avx512_bf16", "AVX512-BF16"},
      {"amx_bf16", "AMX-BF16"}, {"asimd", "NEON"},      {"sve", "SVE"}};
  std::string text;
  for (const auto& [flag, name] : features)
    if (processor_has(flag)) text += (text.empty() ? "" : ", ") + std::string(name);
  return text.empty() ? "no vector instructions that are known" : text;
}

// The nearest folder above, or itself, that is there.
fs::path existing_part(fs::path folder) {
  std::error_code error;
  folder = fs::absolute(folder, error);
  while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
  return folder;
}

}  // namespace

Finding processor_finding() {
  const int usable = usable_processors();
  const auto quota = group_limits().processors;
  Finding finding{FindingState::kOk, "processor",
                  fmt::format("{}; {} of {} hardware threads; {}", processor_name(), usable,
                              std::thread::hardware_concurrency(), features_text()),
                  ""};
  if (quota && *quota < usable) {
    finding.state = FindingState::kNotice;
    finding.text += fmt::format("; the time of {:.1f} is granted", *quota);
    finding.remedy = fmt::format("OMP_NUM_THREADS={}: more threads wait for each other",
                                 std::max(1, static_cast<int>(*quota)));
  } else if (!processor_has("avx2") && !processor_has("asimd")) {
    finding.state = FindingState::kNotice;
    finding.remedy = "a processor with AVX2: this one is many times slower";
  }
  return finding;
}

Finding memory_finding() {
  const auto available = available_memory_bytes();
  const auto limit = group_limits().memory_bytes;
  Finding finding{
      FindingState::kOk, "memory",
      fmt::format("{} free of {}{}", byte_size_text(available), byte_size_text(total_memory_bytes()),
                  limit ? ", the limit of this container or job" : ""),
      ""};
  if (available < kLittleMemory) {
    finding.state = FindingState::kNotice;
    finding.remedy = limit ? "a higher limit, or a small model" : "end other programs, or take a small model";
  }
  return finding;
}

Finding address_space_finding() {
  const auto left = address_space_left();
  if (!left) return {FindingState::kOk, "address space", "no limit", ""};
  return {FindingState::kNotice, "address space", byte_size_text(*left) + " left of the limit",
          "`ulimit -v unlimited`: memory that is only reserved counts too"};
}

Finding shared_memory_finding() {
  std::error_code error;
  const auto space = fs::space("/dev/shm", error);
  if (error) return {FindingState::kNotice, "/dev/shm", error.message(), "mount a tmpfs there"};
  Finding finding{FindingState::kOk, "/dev/shm",
                  byte_size_text(static_cast<std::int64_t>(space.available)) + " free", ""};
  if (static_cast<std::int64_t>(space.available) < kLittleSharedMemory) {
    finding.state = FindingState::kNotice;
    finding.remedy = "docker run --shm-size=32g: NCCL, Ray and --engine transformers share memory there";
  }
  return finding;
}

Finding open_files_finding() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const auto text = limit.rlim_cur == RLIM_INFINITY ? "no limit" : fmt::format("up to {}", limit.rlim_cur);
  if (limit.rlim_cur >= kFewFiles) return {FindingState::kOk, "open files", text, ""};
  return {FindingState::kNotice, "open files", text, "`ulimit -n 4096`"};
}

Finding disk_finding(const std::string& holds, const fs::path& folder, const std::string& flag_for_another) {
  const auto existing = existing_part(folder);
  const auto subject = "disk of " + holds;
  std::error_code error;
  const auto space = fs::space(existing, error);
  if (error)
    return {FindingState::kNotice, subject, existing.string() + ": " + error.message(), flag_for_another};
  if (::access(existing.c_str(), W_OK) != 0)
    return {FindingState::kNotice, subject, existing.string() + " cannot be written", flag_for_another};
  const auto free = static_cast<std::int64_t>(space.available);
  Finding finding{FindingState::kOk, subject,
                  fmt::format("{} free in {}", byte_size_text(free), fs::absolute(folder).string()), ""};
  if (free < kLittleDisk) {
    finding.state = FindingState::kNotice;
    finding.remedy = flag_for_another;
  }
  return finding;
}

Finding port_finding() {
  const char* named = std::getenv("MASTER_PORT");
  const std::int64_t port = named == nullptr ? 0 : std::strtoll(named, nullptr, 10);
  try {
    const PortReservation reservation(port == 0 ? std::nullopt : std::optional(port));
    return {FindingState::kOk, "ports",
            fmt::format("{} is free for processes to meet at{}", reservation.port(),
                        port == 0 ? "" : ", as MASTER_PORT says"),
            ""};
  } catch (const UserError& error) {
    return {FindingState::kNotice, "ports", error.problems().front().problem,
            port == 0 ? "close other programs" : "set MASTER_PORT to another one, the same on every machine"};
  }
}

Findings machine_findings() {
  return {processor_finding(),
          memory_finding(),
          address_space_finding(),
          shared_memory_finding(),
          open_files_finding(),
          disk_finding("results", "results", "--results_dir on another disk"),
          disk_finding("data", "datasets", "--data_dir on another disk"),
          disk_finding("the hub's cache", hub_cache(), "HF_HOME on another disk"),
          port_finding()};
}

}  // namespace anneal
