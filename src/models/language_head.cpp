#include "models/language_head.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "nn/block_gemm.h"
#include "nn/rms_norm.h"
#include "plan/step_memory.h"

namespace anneal {
namespace {

void set_logits(const at::Tensor& x_ME, const at::Tensor& weight_VE, at::Tensor& logits_MV) {
  if (takes_block_gemm(x_ME))
    multiply({x_ME, weight_VE, WeightLayout::kOutputsByInputs}, {}, {}, logits_MV, /*accumulate=*/false);
  else
    at::linear_out(logits_MV, x_ME, weight_VE);
}

void set_input_gradient(const at::Tensor& d_logits_MV, const at::Tensor& weight_VE, at::Tensor dx_ME) {
  if (!takes_float_gemm(d_logits_MV, weight_VE.size(1))) {
    at::mm_out(dx_ME, d_logits_MV, weight_VE);
    return;
  }
  auto sums_ME = at::empty(dx_ME.sizes(), dx_ME.options().dtype(at::kFloat));
  multiply_long(d_logits_MV, weight_VE, sums_ME);
  dx_ME.copy_(sums_ME);
}

}  // namespace

HeadResult language_head(const CausalLm& model, const at::Tensor& hidden_NE, const TokenBatch& batch,
                         std::optional<double> gradient_scale) {
  const auto rows_M = batch.trained_rows_M.numel();
  const RowLosses losses_M(rows_M, hidden_NE.device());
  const auto hidden_ME = hidden_NE.index_select(0, batch.trained_rows_M);
  const auto [normed_ME, inverse_rms_M] = normed(hidden_ME, model.norm, model.config.rms_norm_eps);

  const auto weight_VE = model.head_weight_VE().to(hidden_NE.scalar_type());
  auto d_normed_ME = gradient_scale ? at::empty_like(hidden_ME) : at::Tensor();
  const auto chunk =
      head_rows_of_chunk(weight_VE.size(0), static_cast<std::int64_t>(hidden_NE.element_size()));
  const auto logits_buffer = at::empty({std::min(chunk, rows_M), weight_VE.size(0)}, hidden_NE.options());
  for (std::int64_t begin = 0; begin < rows_M; begin += chunk) {
    const auto end = std::min(begin + chunk, rows_M);
    const auto chunk_ME = normed_ME.slice(0, begin, end);
    // Reused: making fresh pages for it costs a tenth of the product.
    auto logits_MV = logits_buffer.slice(0, 0, end - begin);
    set_logits(chunk_ME, weight_VE, logits_MV);
    cross_entropy(logits_MV, batch.targets_M.slice(0, begin, end), gradient_scale, losses_M.rows(begin, end));
    if (!gradient_scale) continue;
    set_input_gradient(logits_MV, weight_VE, d_normed_ME.slice(0, begin, end));
    if (auto* parameter = model.head_parameter())
      add_weight_gradient(logits_MV, chunk_ME, parameter->gradient);
  }
  if (!gradient_scale) return {on_host(losses_M), {}};
  if (model.norm.parameter)
    model.norm.parameter->gradient.add_(rms_norm_weight_gradient(d_normed_ME, hidden_ME, inverse_rms_M));
  rms_norm_backward(d_normed_ME, hidden_ME, model.norm.weight_D, inverse_rms_M, d_normed_ME,
                    /*accumulate=*/false);
  auto dx_NE = at::zeros_like(hidden_NE);
  dx_NE.index_copy_(0, batch.trained_rows_M, d_normed_ME);
  return {on_host(losses_M), dx_NE};
}

at::Tensor all_logits(const CausalLm& model, const TokenBatch& batch) {
  const auto hidden_NE = run_layers(model, batch);
  const auto normed_NE = normed(hidden_NE, model.norm, model.config.rms_norm_eps).y;
  return at::linear(normed_NE, model.head_weight_VE().to(hidden_NE.scalar_type())).to(at::kFloat);
}

}  // namespace anneal
