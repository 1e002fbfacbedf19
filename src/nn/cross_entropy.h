// Negative log-likelihood of one target a row, from logits, reckoned in float32. Shapes: N rows, V
// vocabulary.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>

namespace anneal {

struct RowLoss {
  double nll = 0;
  bool target_is_argmax = false;  // ties: the first of the largest logits is the argmax
};

// losses_N[i] is the loss of row i. With `gradient_scale` given, logits_NV are overwritten by
// gradient_scale * d(sum of NLL) / d(logits). logits_NV is contiguous.
void cross_entropy(at::Tensor& logits_NV, std::span<const std::int64_t> targets_N,
                   std::optional<double> gradient_scale, std::span<RowLoss> losses_N);

namespace plain {
at::Tensor cross_entropy(const at::Tensor& logits_NV, const at::Tensor& targets_N);  // float32, one a row
}

}  // namespace anneal
