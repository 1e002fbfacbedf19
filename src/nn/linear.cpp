#include "nn/linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include "nn/block_gemm.h"
#include "nn/dora.h"

namespace anneal {
namespace {

// Of a row's squared length: what is left of a row that an update cancels is rounding.
constexpr double kVanished = 1e-5;

// The weight in the compute dtype: itself, or a copy that lives as long as the multiplication.
at::Tensor in_dtype_of(const at::Tensor& x, const at::Tensor& weight) { return weight.to(x.scalar_type()); }

// Pairs of an update's inner elements are whole.
bool joins_block_gemm(const at::Tensor& x, const at::Tensor& low_rank_NR) {
  return takes_block_gemm(x) && low_rank_NR.size(1) % 2 == 0;
}

at::Tensor product_of(const at::Tensor& x_NI, const at::Tensor& weight_OI) {
  if (!takes_block_gemm(x_NI)) return at::linear(x_NI, weight_OI);
  auto y_NO = at::empty({x_NI.size(0), weight_OI.size(0)}, x_NI.options());
  multiply({x_NI, weight_OI, WeightLayout::kOutputsByInputs}, {}, {}, y_NO, /*accumulate=*/false);
  return y_NO;
}

// x W^T + low_rank B^T. The large product is added to the update in float32: to a bfloat16 product that is
// rounded already, an update of less than half its last place would add nothing at all (docs/decisions/022).
at::Tensor product_of(const at::Tensor& x_NI, const at::Tensor& weight_OI, const at::Tensor& low_rank_NR,
                      const at::Tensor& b_OR) {
  if (!joins_block_gemm(x_NI, low_rank_NR)) return at::mm(low_rank_NR, b_OR.t()).addmm_(x_NI, weight_OI.t());
  auto y_NO = at::empty({x_NI.size(0), weight_OI.size(0)}, x_NI.options());
  multiply({x_NI, weight_OI, WeightLayout::kOutputsByInputs},
           Factors{low_rank_NR, b_OR, WeightLayout::kOutputsByInputs}, {}, y_NO, /*accumulate=*/false);
  return y_NO;
}

// dx += dy W, or becomes it where it is undefined.
void add_product(const at::Tensor& dy_NO, const at::Tensor& weight_OI, at::Tensor& dx_NI) {
  const bool accumulate = dx_NI.defined();
  if (takes_block_gemm(dy_NO)) {
    if (!accumulate) dx_NI = at::empty({dy_NO.size(0), weight_OI.size(1)}, dy_NO.options());
    multiply({dy_NO, weight_OI, WeightLayout::kInputsByOutputs}, {}, {}, dx_NI, accumulate);
  } else if (accumulate) {
    dx_NI.addmm_(dy_NO, weight_OI);
  } else {
    dx_NI = at::mm(dy_NO, weight_OI);
  }
}

// The same with drop(low_rank A) too.
void add_product(const at::Tensor& dy_NO, const at::Tensor& weight_OI, const at::Tensor& low_rank_NR,
                 const at::Tensor& a_RI, const std::optional<ProductDropout>& drop, at::Tensor& dx_NI) {
  if (joins_block_gemm(dy_NO, low_rank_NR)) {
    const bool accumulate = dx_NI.defined();
    if (!accumulate) dx_NI = at::empty({dy_NO.size(0), weight_OI.size(1)}, dy_NO.options());
    multiply({dy_NO, weight_OI, WeightLayout::kInputsByOutputs},
             Factors{low_rank_NR, a_RI, WeightLayout::kInputsByOutputs}, drop, dx_NI, accumulate);
    return;
  }
  add_product(dy_NO, weight_OI, dx_NI);
  if (drop)
    add_dropout_backward(at::mm(low_rank_NR, a_RI), drop->keys, drop->probability, dx_NI);
  else
    dx_NI.addmm_(low_rank_NR, a_RI);
}

at::Tensor scaled_columns(const at::Tensor& x_NO, const at::Tensor& factor_O) {
  auto y_NO = at::empty_like(x_NO);
  scale_columns(x_NO, factor_O, y_NO, /*accumulate=*/false);
  return y_NO;
}

}  // namespace

std::vector<Parameter*> Lora::parameters() {
  std::vector<Parameter*> all{&a_RI, &b_OR};
  if (magnitude_O) all.push_back(&*magnitude_O);
  return all;
}

at::Tensor Linear::lora_input(const at::Tensor& x_NI, const PassContext& context) const {
  if (!drops(context)) return x_NI;
  auto dropped_NI = at::empty_like(x_NI);
  dropout(x_NI, keys(context), lora->dropout, dropped_NI);
  return dropped_NI;
}

at::Tensor Linear::row_norms() const { return row_norms(in_dtype_of(lora->a_RI.compute, weight_OI)); }

at::Tensor Linear::row_norms(const at::Tensor& compute_weight_OI) const {
  const bool is_first = !lora->weight_squares_O.defined();
  // Of the weight as it is held, which is the one that an adapter is merged into.
  if (is_first) lora->weight_squares_O = row_squares(weight_OI);
  const auto squares_O = adapted_row_squares(compute_weight_OI, lora->weight_squares_O, lora->a_RI.compute,
                                             lora->b_OR.compute, lora->scale);
  if (is_first) require_directions(squares_O, lora->weight_squares_O * kVanished, name);
  return squares_O.sqrt();
}

void Linear::pack(at::ScalarType type) {
  packed = std::make_unique<PackedLinear>(weight_OI, type);
  if (!lora) return;
  packed->add_low_rank(lora->a_RI.compute, lora->b_OR.compute, lora->scale);
  if (has_magnitude()) packed->scale_outputs(lora->magnitude_O->compute / row_norms());
}

at::Tensor Linear::forward(const at::Tensor& x_NI, const PassContext& context, LoraActivations& kept) const {
  auto y_NO = packed ? packed->forward(x_NI) : product(x_NI, context, kept);
  return bias_O.defined() ? y_NO.add_(bias_O) : y_NO;
}

at::Tensor Linear::product(const at::Tensor& x_NI, const PassContext& context, LoraActivations& kept) const {
  const auto weight = in_dtype_of(x_NI, weight_OI);
  if (!lora) return product_of(x_NI, weight);
  auto input_NI = lora_input(x_NI, context);
  kept.low_rank_NR = at::mm(input_NI, lora->a_RI.compute.t());
  const auto scaled_NR = kept.low_rank_NR.mul(lora->scale);
  if (!has_magnitude()) {
    input_NI.reset();  // its memory may serve the product
    return product_of(x_NI, weight, scaled_NR, lora->b_OR.compute);
  }
  kept.norms_O = row_norms(weight);
  const auto factors_O = lora->magnitude_O->compute / kept.norms_O;
  kept.directed_NO = product_of(input_NI, weight, scaled_NR, lora->b_OR.compute);
  if (!drops(context)) return scaled_columns(kept.directed_NO, factors_O);
  auto y_NO = at::mm(scaled_NR, lora->b_OR.compute.t());
  scale_columns(kept.directed_NO, factors_O - 1, y_NO, /*accumulate=*/true);
  return y_NO.addmm_(x_NI, weight.t());
}

void Linear::backward(const at::Tensor& dy_NO, const at::Tensor& x_NI, const LoraActivations& kept,
                      const PassContext& context, at::Tensor* dx_NI) const {
  if (weight_parameter) add_weight_gradient(dy_NO, x_NI, weight_parameter->gradient);
  if (bias_parameter) bias_parameter->gradient.add_(dy_NO.sum(0, false, at::kFloat));
  if (lora)
    lora_backward(dy_NO, x_NI, kept, context, dx_NI);
  else if (dx_NI)
    add_product(dy_NO, in_dtype_of(dy_NO, weight_OI), *dx_NI);
}

void Linear::lora_backward(const at::Tensor& dy_NO, const at::Tensor& x_NI, const LoraActivations& kept,
                           const PassContext& context, at::Tensor* dx_NI) const {
  auto d_update_NO = dy_NO;  // the gradient of scale * B A drop(x)
  at::Tensor factors_O;
  if (has_magnitude()) {
    auto& magnitude = *lora->magnitude_O;
    factors_O = magnitude.compute / kept.norms_O;
    magnitude.gradient.add_(column_dots(dy_NO, kept.directed_NO) / kept.norms_O);
    d_update_NO = scaled_columns(dy_NO, factors_O);
  }
  const auto d_low_rank_NR = at::mm(d_update_NO, lora->b_OR.compute);
  lora->b_OR.gradient.add_(at::mm(d_update_NO.t(), kept.low_rank_NR), lora->scale);
  lora->a_RI.gradient.add_(at::mm(d_low_rank_NR.t(), lora_input(x_NI, context)), lora->scale);
  if (!dx_NI) return;
  const auto weight = in_dtype_of(dy_NO, weight_OI);
  const auto scaled_NR = d_low_rank_NR.mul(lora->scale);
  if (!drops(context)) {
    add_product(d_update_NO, weight, scaled_NR, lora->a_RI.compute, {}, *dx_NI);
  } else if (!has_magnitude()) {
    add_product(dy_NO, weight, scaled_NR, lora->a_RI.compute, ProductDropout{keys(context), lora->dropout},
                *dx_NI);
  } else {
    add_product(dy_NO, weight, *dx_NI);
    auto d_dropped_NI = at::mm(scaled_NR, lora->a_RI.compute);
    d_dropped_NI.addmm_(scaled_columns(dy_NO, factors_O - 1), weight);
    add_dropout_backward(d_dropped_NI, keys(context), lora->dropout, *dx_NI);
  }
}

void add_weight_gradient(const at::Tensor& dy_NO, const at::Tensor& x_NI, at::Tensor& gradient_OI) {
  if (takes_float_gemm(dy_NO, x_NI.size(1)))
    add_transposed_product(dy_NO, x_NI, gradient_OI);
  else
    gradient_OI.add_(at::mm(dy_NO.t(), x_NI));
}

}  // namespace anneal
