// The final norm, the output head and the loss, on trained rows only and in chunks, so that the logits of all
// rows are never held at once.
#pragma once
#include <optional>

#include "models/causal_lm.h"
#include "nn/cross_entropy.h"

namespace anneal {

struct HeadResult {
  std::vector<RowLoss> losses_M;  // by trained row, on the host
  at::Tensor dx_NE;               // the gradient of the hidden states; undefined without gradient_scale
};

// hidden_NE: the output of the last layer. With gradient_scale, the gradient is that of gradient_scale * sum
// of NLL, and the head's and the norm's own gradients are added to where they are trained.
HeadResult language_head(const CausalLm& model, const at::Tensor& hidden_NE, const TokenBatch& batch,
                         std::optional<double> gradient_scale);

// The logits of every position, float32; for looking at a sample or two.
at::Tensor all_logits(const CausalLm& model, const TokenBatch& batch);

}  // namespace anneal
