// The shape of a model that is loaded, with what of it is trained.
#pragma once
#include "models/causal_lm.h"
#include "plan/model_shape.h"

namespace anneal {

ModelShape shape_of(const CausalLm& model);

}  // namespace anneal
