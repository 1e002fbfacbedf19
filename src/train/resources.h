// What a step needs of the machine.
#pragma once
#include <cstdint>
#include <exception>
#include <string>

#include "models/causal_lm.h"
#include "train/step.h"

namespace anneal {

// Of the free memory; the rest is for temporaries and the page cache.
inline constexpr double kUsableShare = 0.7;
// In float32: itself, its gradient, two moments.
inline constexpr std::int64_t kBytesOfATrainedWeight = 16;

// Bytes that one token's activations take in one layer that keeps them, and in one that recomputes.
std::int64_t kept_bytes_per_token(const CausalLm& model);
std::int64_t recomputed_bytes_per_token(const CausalLm& model);

// The rate of products with weights of these shapes ([out, in], each as often as it is there) at 2048 rows,
// weighted by work, in FLOP/s.
double measured_gemm_flops_per_second(const std::vector<std::vector<std::int64_t>>& shapes,
                                      at::TensorOptions options);
// The same of the first layer's weights in the compute dtype.
double measured_gemm_flops_per_second(const CausalLm& model);

// Fills in what is left to `auto`: a micro-batch of what fits into the usable free memory without recompute,
// but at least the longest sample; then as many layers that keep their activations as fit.
struct PlanRequest {
  std::optional<std::int64_t> micro_batch_tokens;
  std::string gradient_checkpointing;  // auto, on, off
  std::int64_t largest_pool_tokens;    // of any step
  std::int64_t longest_sample;
};
StepPlan make_plan(const CausalLm& model, const PlanRequest& request, std::int64_t free_bytes);

// Whether an exception says that memory has run out: torch has a type for devices, and a text for the CPU.
bool is_out_of_memory(const std::exception& error);

// What takes memory in a step: weights, optimizer, activations of a micro-batch of `longest` tokens or more.
std::string memory_use_text(const CausalLm& model, const StepPlan& plan, std::int64_t longest);

}  // namespace anneal
