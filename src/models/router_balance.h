// The auxiliary loss of routers (Switch Transformer, Fedus et al. 2021, equations 4 to 6), as transformers
// computes it for one sample of T tokens: X * sum over experts of (choices / rows) * (probability / rows),
// each summed over all sparse layers and tokens, rows = layers * T. The loss of a step is the sum over
// samples of that, times the coefficient and the sample's trained tokens: so it does not depend on the cut of
// a step. Shapes: N tokens, S samples, X experts, T choices of a token.
#pragma once
#include <ATen/core/Tensor.h>

#include "models/token_batch.h"

namespace anneal {

class RouterBalance {
 public:
  RouterBalance(const TokenBatch& batch, std::int64_t experts);

  // What a layer has chosen, once in the forward pass; after close() nothing is added any more, so that
  // layers may run again.
  void add(const at::Tensor& probabilities_NX, const at::Tensor& experts_NT);

  // The loss of the samples, in the unit of a sum of NLL. `gradient_scale`: of that sum.
  double close(double coefficient, double gradient_scale);

  // To be added to the gradient of any layer's probabilities; after close().
  at::Tensor gradient_NX() const { return gradient_SX_.index_select(0, sample_of_N_); }

 private:
  at::Tensor sample_of_N_;                    // int64
  at::Tensor trained_S_;                      // trained tokens, float64
  at::Tensor choices_SX_, probabilities_SX_;  // sums, float64
  at::Tensor rows_S_;                         // float64
  at::Tensor gradient_SX_;                    // float32; undefined until close()
};

}  // namespace anneal
