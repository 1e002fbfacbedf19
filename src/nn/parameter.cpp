#include "nn/parameter.h"

#include <ATen/ops/zeros_like.h>

#include <utility>

namespace anneal {

Parameter::Parameter(std::string parameter_name, const at::Tensor& initial, at::ScalarType compute_type)
    : name(std::move(parameter_name)),
      value(initial.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true)),
      compute(value.to(compute_type)),
      gradient(at::zeros_like(value)) {}

void Parameter::refresh_compute() {
  if (!compute.is_same(value)) compute.copy_(value);
}

}  // namespace anneal
