#include "base/memory.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "base/control_group.h"

namespace anneal {
namespace {

struct ProcessMemory {
  std::int64_t mapped, resident;  // bytes
};

ProcessMemory process_memory() {
  std::ifstream file("/proc/self/statm");
  ProcessMemory pages{};
  file >> pages.mapped >> pages.resident;
  const auto page = ::sysconf(_SC_PAGESIZE);
  return {pages.mapped * page, pages.resident * page};
}

std::int64_t available_to_all() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  std::int64_t kilobytes = 0;
  while (file >> key >> kilobytes) {
    std::getline(file, unit);
    if (key == "MemAvailable:") return kilobytes * 1024;
  }
  return std::numeric_limits<std::int64_t>::max();
}

}  // namespace

std::int64_t available_memory_bytes() {
  const auto available = available_to_all();
  return std::min(available, std::max<std::int64_t>(0, group_limits().memory_left_bytes.value_or(available)));
}

std::int64_t total_memory_bytes() {
  const auto total = static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) *
                     static_cast<std::int64_t>(::sysconf(_SC_PAGESIZE));
  return std::min(total, group_limits().memory_bytes.value_or(total));
}

std::int64_t resident_memory_bytes() { return process_memory().resident; }

std::optional<std::int64_t> address_space_left() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return static_cast<std::int64_t>(limit.rlim_cur) - process_memory().mapped;
}

void keep_freed_memory() {
  if (address_space_left()) return;
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  ::mallopt(M_TRIM_THRESHOLD, -1);
  ::mallopt(M_TOP_PAD, 64 << 20);
}

void give_back_freed_memory() { ::malloc_trim(0); }

}  // namespace anneal
