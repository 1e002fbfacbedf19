// What a device computes against what the processor does: every path that differs between them, and five LoRA
// steps of a small model. Under a minute.
#pragma once
#include <c10/core/Device.h>

#include <functional>
#include <string>
#include <vector>

namespace anneal {

struct SelfCheck {
  std::string name;
  double bound;                   // of the error, relative to the largest value
  std::function<double()> error;  // may throw
};

struct SelfCheckResult {
  std::string name;
  double error, bound;
  std::string problem;                                               // what it threw
  bool passed() const { return problem.empty() && error <= bound; }  // a NaN does not pass
};

// Of the processor itself: its kernels against the forms in ATen operations that other devices run.
std::vector<SelfCheck> self_checks(c10::Device device);

std::vector<SelfCheckResult> run_checks(const std::vector<SelfCheck>& checks);
std::string describe(const SelfCheckResult& result);  // one line

}  // namespace anneal
