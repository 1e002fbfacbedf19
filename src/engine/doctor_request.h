// All options of `anneal doctor`. Free of torch.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "base/fields.h"

namespace anneal {

struct DoctorRequest {
  std::string selftest = "none";

  static void fields(auto& c, auto field) {
    field("selftest", c.selftest,
          "Compare what a device computes with what the processor does, each operation and five LoRA steps; "
          "cpu: "
          "the processor's kernels with the forms that other devices run.",
          FieldTraits{.choices = {"none", "cpu", "cuda"}, .heading = "Doctor"});
  }

  void complete(const std::set<std::string>&, std::vector<Problem>&) const {}
};

}  // namespace anneal
