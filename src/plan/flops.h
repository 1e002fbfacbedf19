// The work that samples are, in floating-point operations.
#pragma once
#include "plan/model_shape.h"

namespace anneal {

// What a training step needs: 4 a frozen weight and token, 6 a trained one, causal attention, and the head on
// trained positions alone.
struct FlopRates {
  double per_token;    // linear layers
  double per_pair;     // of a token and one that it attends to
  double per_trained;  // the head, for each position with a loss
  double of_sample(std::int64_t tokens, std::int64_t trained) const;
};
FlopRates flop_rates(const ModelShape& shape);

// What it costs besides to run the layers forward again.
double recomputed_flops(const ModelShape& shape, std::int64_t tokens, std::int64_t recomputed_layers);

}  // namespace anneal
