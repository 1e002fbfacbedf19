// The work that samples are.
#pragma once
#include <vector>

#include "models/causal_lm.h"

namespace anneal {

// Floating-point operations that one step needs: 4 a frozen weight and token, 6 a trained one, causal
// attention, and the head on trained rows only.
double needed_flops(const CausalLm& model, const std::vector<SampleView>& pool);

}  // namespace anneal
