// What a user should know of the files of a base model.
#pragma once
#include <string>
#include <vector>

#include "models/causal_lm.h"

namespace anneal {

// Lines on weights that are converted where they are held, and on tensors that the model does not use.
std::vector<std::string> weight_notes(const CausalLm& model);

}  // namespace anneal
