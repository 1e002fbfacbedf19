// Attaching LoRA to the linear layers that the target names hit.
#pragma once
#include <string>
#include <vector>

#include "models/causal_lm.h"

namespace anneal {

struct LoraShape {
  std::int64_t rank;
  double alpha;
  double dropout;
  std::vector<std::string>
      targets;  // names or path endings; {"all-linear"} for every linear layer but the head
  bool allow_missing_targets = false;
};

struct TargetHits {
  std::string target;
  std::int64_t modules;
};

// A is uniform in (-1/sqrt(in), 1/sqrt(in)), as PEFT's kaiming_uniform(a = sqrt 5), and a function of seed,
// module and element; B is zero. Throws UserError(kUsage) for a target that hits nothing, unless that is
// allowed.
std::vector<TargetHits> add_lora(CausalLm& model, const LoraShape& shape, std::uint64_t seed);

// Adds every adapter to the weights that it belongs to, computed in float32 and rounded once to the dtype
// that they are held in, and takes it off. The model shares no memory with its files there any more.
void merge_lora(CausalLm& model);

}  // namespace anneal
