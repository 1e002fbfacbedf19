#include "base/machine.h"

#include <unistd.h>

#include <fstream>

namespace anneal {

std::string host_name() {
  char name[256] = "";
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "localhost";
  return name;
}

bool processor_has(const std::string& feature) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("flags")) return (line + " ").find(" " + feature + " ") != std::string::npos;
  return false;
}

}  // namespace anneal
