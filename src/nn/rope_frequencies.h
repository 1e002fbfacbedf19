// The frequencies of rotary position embedding, in transformers' order of float32 operations. Shapes: F
// frequencies.
#pragma once
#include <ATen/core/Tensor.h>

#include "architecture/rope_parameters.h"

namespace anneal {

// inverse_frequency_F, float32, of a sample of `length` tokens.
at::Tensor inverse_frequencies(const RopeParameters& rope, std::int64_t length);

}  // namespace anneal
