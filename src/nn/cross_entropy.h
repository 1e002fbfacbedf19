// Negative log-likelihood of one target a row, from logits, reckoned in float32. Shapes: N rows, V
// vocabulary.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace anneal {

// On the device of the logits, so that a chunk of rows need not wait for the one before it.
struct RowLosses {
  at::Tensor nll_N;               // float64
  at::Tensor target_is_argmax_N;  // bool; ties: the first of the largest logits is the argmax

  RowLosses(std::int64_t rows, at::Device device);
  RowLosses rows(std::int64_t begin, std::int64_t end) const;  // a part, in the same memory

 private:
  RowLosses() = default;
};

struct RowLoss {
  double nll = 0;
  bool target_is_argmax = false;
};
// Waits for the device. Of the meta device, which has no values: NaN.
std::vector<RowLoss> on_host(const RowLosses& losses_N);

// Fills losses_N. With `gradient_scale` given, logits_NV are overwritten by
// gradient_scale * d(sum of NLL) / d(logits). logits_NV is contiguous; targets_N is int64.
void cross_entropy(at::Tensor& logits_NV, const at::Tensor& targets_N, std::optional<double> gradient_scale,
                   const RowLosses& losses_N);

namespace plain {  // the same in ATen operations
void cross_entropy(at::Tensor& logits_NV, const at::Tensor& targets_N, std::optional<double> gradient_scale,
                   const RowLosses& losses_N);
}

}  // namespace anneal
