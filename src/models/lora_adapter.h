// Attaching LoRA to the linear layers that the target names hit.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "architecture/lora_targets.h"
#include "models/causal_lm.h"

namespace anneal {

// A value for the modules whose path a pattern matches (a regular expression for the whole path, or its
// ending after a dot). The first pattern that matches counts, as in PEFT.
using ModulePatterns = std::vector<std::pair<std::string, double>>;

struct LoraShape {
  std::int64_t rank;
  double alpha;
  double dropout;
  std::vector<std::string>
      targets;  // names or path endings; {"all-linear"} for every linear layer but the head
  bool allow_missing_targets = false;
  bool use_rslora = false;  // scaled by alpha / sqrt(rank) instead of alpha / rank
  bool use_dora = false;    // with a magnitude for each row (nn/dora.h)
  ModulePatterns rank_pattern = {}, alpha_pattern = {};

  std::int64_t rank_of(const std::string& module) const;
  double scale_of(const std::string& module) const;
};

struct TargetHits {
  std::string target;
  std::int64_t modules;
};

// A is uniform in (-1/sqrt(in), 1/sqrt(in)), as PEFT's kaiming_uniform(a = sqrt 5), and a function of seed,
// module and element; B is zero, and so is a magnitude. Throws UserError(kUsage) for a target that hits
// nothing, unless that is allowed.
std::vector<TargetHits> add_lora(CausalLm& model, const LoraShape& shape, std::uint64_t seed);

// Makes the magnitudes of a fresh adapter the lengths of the rows, so that it changes nothing yet. Of a
// shared model every rank takes part. Throws UserError(kModel) for a row of zeros.
void start_magnitudes(CausalLm& model);

struct WeightUpdate {
  at::Tensor a_RI, b_OR;
  double scale;
  at::Tensor magnitude_O = {};  // of DoRA alone
};
// The weight with the adapter in it, float32. Throws UserError(kModel), naming the module, for a row of zeros
// that has a magnitude.
at::Tensor merged_weight(const std::string& module, const at::Tensor& weight_OI, const WeightUpdate& update);

// Puts every adapter into the weights that it belongs to, computed in float32 and rounded once to the dtype
// that they are held in, and takes it off. The model shares no memory with its files there any more.
void merge_lora(CausalLm& model);

}  // namespace anneal
