#include "nn/kernel_set.h"

#include <ATen/Version.h>
#include <hwy/targets.h>

namespace anneal {

std::string kernel_set() {
  const auto supported = hwy::SupportedTargets();
  // The lowest bit is the best of Highway's targets.
  return std::string(hwy::TargetName(supported & -supported)) + ", torch " + at::get_cpu_capability();
}

}  // namespace anneal
