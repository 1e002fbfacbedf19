#include "models/norm_weight.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

namespace anneal {

Normed normed(const at::Tensor& x_ND, const NormWeight& norm, double eps) {
  Normed result{at::empty_like(x_ND),
                at::empty({x_ND.numel() / norm.weight_D.numel()}, x_ND.options().dtype(at::kFloat))};
  rms_norm(x_ND, norm.weight_D, eps, result.y, result.inverse_rms);
  return result;
}

void add_norm_gradient(const NormWeight& norm, const at::Tensor& dy, const at::Tensor& x,
                       const at::Tensor& inverse_rms) {
  if (!norm.parameter) return;
  const auto width = norm.weight_D.numel();
  norm.parameter->gradient.add_(
      rms_norm_weight_gradient(dy.view({-1, width}), x.view({-1, width}), inverse_rms));
}

}  // namespace anneal
