// Runs a body on every instruction set that the kernels are compiled for and this processor has.
#pragma once
#include <hwy/targets.h>

#include <cstdint>

namespace anneal {

template <class Body>
void for_each_simd_target(const Body& body) {
  for (std::int64_t left = hwy::SupportedTargets(); left != 0; left &= left - 1) {
    const std::int64_t target = left & -left;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    body(hwy::TargetName(target));
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace anneal
