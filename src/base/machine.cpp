#include "base/machine.h"

#include <sched.h>
#include <unistd.h>

#include <fstream>

namespace anneal {

namespace {

// The first line of /proc/cpuinfo that begins so.
std::string line_of_processor(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key)) return line;
  return "";
}

}  // namespace

std::string host_name() {
  char name[256] = "";
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "localhost";
  return name;
}

bool processor_has(const std::string& feature) {
  return (line_of_processor("flags") + " ").find(" " + feature + " ") != std::string::npos;
}

std::string processor_name() {
  const auto line = line_of_processor("model name");
  const auto value = line.find_first_not_of(": \t", line.find(':'));
  return value == line.npos ? "" : line.substr(value);
}

int usable_processors() {
  cpu_set_t processors;
  if (::sched_getaffinity(0, sizeof processors, &processors) == 0) return CPU_COUNT(&processors);
  return static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));  // more than the set has room for
}

}  // namespace anneal
