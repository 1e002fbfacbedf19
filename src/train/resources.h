// What a step needs of the machine.
#pragma once
#include <cstdint>
#include <exception>
#include <string>

#include "models/causal_lm.h"
#include "plan/step_memory.h"
#include "train/step.h"

namespace anneal {

// The rate of products with weights of these shapes ([out, in], each as often as it is there) at 2048 rows,
// weighted by work, in FLOP/s.
double measured_gemm_flops_per_second(const std::vector<std::vector<std::int64_t>>& shapes,
                                      at::TensorOptions options);
// The same of the first layer's weights in the compute dtype.
double measured_gemm_flops_per_second(const CausalLm& model);

// The setup of a model that is loaded, on its device; without what libraries take.
StepSetup setup_of(const CausalLm& model, int ranks);

// Whether an exception says that memory has run out: torch has a type for devices, and a text for the CPU.
bool is_out_of_memory(const std::exception& error);

// What takes memory in a step of a micro-batch of `longest` tokens or more, and what is free.
std::string memory_use_text(const CausalLm& model, int ranks, const StepPlan& plan, std::int64_t longest);

}  // namespace anneal
