#include "nn/linear.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

namespace anneal {
namespace {

// The weight in the compute dtype: itself, or a copy that lives as long as the multiplication.
at::Tensor in_dtype_of(const at::Tensor& x, const at::Tensor& weight) { return weight.to(x.scalar_type()); }

}  // namespace

at::Tensor Linear::lora_input(const at::Tensor& x_NI, const PassContext& context) const {
  if (!drops(context)) return x_NI;
  auto dropped_NI = at::empty_like(x_NI);
  dropout(x_NI, keys(context), lora->dropout, dropped_NI);
  return dropped_NI;
}

void Linear::pack(at::ScalarType type) {
  packed = std::make_unique<PackedLinear>(weight_OI, type);
  if (lora) packed->add_low_rank(lora->a_RI.compute, lora->b_OR.compute, lora->scale);
}

at::Tensor Linear::forward(const at::Tensor& x_NI, const PassContext& context,
                           at::Tensor& low_rank_NR) const {
  if (packed) {
    auto y_NO = packed->forward(x_NI);
    return bias_O.defined() ? y_NO.add_(bias_O) : y_NO;
  }
  auto y_NO = at::linear(x_NI, in_dtype_of(x_NI, weight_OI));
  if (bias_O.defined()) y_NO.add_(bias_O);
  if (lora) {
    low_rank_NR = at::mm(lora_input(x_NI, context), lora->a_RI.compute.t());
    y_NO.addmm_(low_rank_NR, lora->b_OR.compute.t(), 1, lora->scale);
  }
  return y_NO;
}

void Linear::backward(const at::Tensor& dy_NO, const at::Tensor& x_NI, const at::Tensor& low_rank_NR,
                      const PassContext& context, at::Tensor* dx_NI) const {
  if (weight_parameter) weight_parameter->gradient.add_(at::mm(dy_NO.t(), x_NI));
  if (bias_parameter) bias_parameter->gradient.add_(dy_NO.sum(0, false, at::kFloat));
  if (dx_NI) {
    const auto weight = in_dtype_of(dy_NO, weight_OI);
    if (dx_NI->defined())
      dx_NI->addmm_(dy_NO, weight);
    else
      *dx_NI = at::mm(dy_NO, weight);
  }
  if (!lora) return;
  const auto d_low_rank_NR = at::mm(dy_NO, lora->b_OR.compute);
  lora->b_OR.gradient.add_(at::mm(dy_NO.t(), low_rank_NR), lora->scale);
  lora->a_RI.gradient.add_(at::mm(d_low_rank_NR.t(), lora_input(x_NI, context)), lora->scale);
  if (!dx_NI) return;
  if (drops(context)) {
    const auto d_dropped_NI = at::mm(d_low_rank_NR.mul(lora->scale), lora->a_RI.compute);
    add_dropout_backward(d_dropped_NI, keys(context), lora->dropout, *dx_NI);
  } else {
    dx_NI->addmm_(d_low_rank_NR, lora->a_RI.compute, 1, lora->scale);
  }
}

}  // namespace anneal
