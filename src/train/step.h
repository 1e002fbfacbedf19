// One optimizer step's loss and gradients. The samples of the step are one pool; how it is cut into
// padding-free micro-batches, and which layers keep their activations, changes speed and memory but not the
// result.
#pragma once
#include <functional>
#include <vector>

#include "models/causal_lm.h"
#include "plan/step_plan.h"

namespace anneal {

struct StepLoss {
  double sum_nll = 0;
  std::int64_t trained_tokens = 0;  // positions with a loss
  std::int64_t tokens = 0;
  double flops = 0;  // that the step needs, without recomputing
  double mean() const { return trained_tokens > 0 ? sum_nll / static_cast<double>(trained_tokens) : 0; }
};

// Cuts samples of these lengths, in order, into runs of at most `budget` tokens. Returns the first index of
// each run, and the end.
std::vector<std::size_t> cut_pool(const std::vector<std::int64_t>& lengths, std::int64_t budget);

// What the samples of a pool are, before anything is computed, and what each costs.
struct PoolWork {
  StepLoss loss;  // without NLL
  std::vector<std::int64_t> lengths;
  std::vector<double> flops;
};
PoolWork work_of(const std::vector<SampleView>& pool,
                 const std::function<double(const SampleView&)>& flops_of);

// Adds to the parameters' gradients those of (sum of NLL) / (trained positions of the whole pool), which is
// that of all ranks together: the samples are divided over `group`, and loss and gradients are those of all.
// `dropout_step` keys the dropout of this step.
StepLoss forward_backward(CausalLm& model, const std::vector<SampleView>& pool, const StepPlan& plan,
                          std::uint64_t seed, std::int64_t dropout_step, ProcessGroup& group);

}  // namespace anneal
