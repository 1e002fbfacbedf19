#include "models/router_balance.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace anneal {

RouterBalance::RouterBalance(const TokenBatch& batch, std::int64_t experts) {
  std::vector<std::int64_t> samples;
  std::vector<double> trained;
  for (std::int64_t sample = 0; sample < batch.samples(); ++sample) {
    samples.insert(samples.end(), batch.segment_starts[sample + 1] - batch.segment_starts[sample], sample);
    trained.push_back(static_cast<double>(batch.row_of_segment[sample + 1] - batch.row_of_segment[sample]));
  }
  const auto device = batch.ids_N.device();
  sample_of_N_ = at::tensor(samples, at::kLong).to(device);
  trained_S_ = at::tensor(trained, at::kDouble).to(device);
  rows_S_ = at::zeros_like(trained_S_);
  choices_SX_ = at::zeros({batch.samples(), experts}, trained_S_.options());
  probabilities_SX_ = at::zeros_like(choices_SX_);
}

void RouterBalance::add(const at::Tensor& probabilities_NX, const at::Tensor& experts_NT) {
  if (gradient_SX_.defined()) return;
  const auto p_NX = probabilities_NX.to(at::kDouble);
  probabilities_SX_.index_add_(0, sample_of_N_, p_NX);
  const auto chosen_NX = at::zeros_like(p_NX).scatter_(
      1, experts_NT, at::ones_like(experts_NT, at::TensorOptions().dtype(at::kDouble)));
  choices_SX_.index_add_(0, sample_of_N_, chosen_NX);
  rows_S_.index_add_(0, sample_of_N_, at::ones_like(sample_of_N_, at::TensorOptions().dtype(at::kDouble)));
}

double RouterBalance::close(double coefficient, double gradient_scale) {
  const auto experts = static_cast<double>(choices_SX_.size(1));
  const auto factor_S1 = (trained_S_ * (coefficient * experts) / rows_S_.square()).unsqueeze(1);
  const auto loss = (factor_S1 * choices_SX_ * probabilities_SX_).sum();
  gradient_SX_ = (factor_S1 * choices_SX_ * gradient_scale).to(at::kFloat);
  return loss.is_meta() ? 0 : loss.item<double>();
}

}  // namespace anneal
