#include "nn/parameter.h"

#include <ATen/ops/zeros_like.h>
#include <c10/util/accumulate.h>

#include <utility>

namespace anneal {

Parameter::Parameter(std::string parameter_name, const at::Tensor& initial, at::ScalarType compute_type)
    : name(std::move(parameter_name)),
      shape(initial.sizes().vec()),
      value(initial.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true)),
      value_gradient(at::zeros_like(value)),
      compute(value.to(compute_type)),
      gradient(value_gradient) {}

Parameter Parameter::unshared(std::string name, const at::Tensor& initial) {
  Parameter parameter;
  parameter.name = std::move(name);
  parameter.shape = initial.sizes().vec();
  parameter.compute = initial;
  parameter.is_shared = true;
  return parameter;
}

Parameter Parameter::of_tensors(std::string name, const at::Tensor& value, const at::Tensor& gradient) {
  Parameter parameter;
  parameter.name = std::move(name);
  parameter.shape = value.sizes().vec();
  parameter.value = parameter.compute = value;
  parameter.value_gradient = parameter.gradient = gradient;
  return parameter;
}

std::int64_t Parameter::numel() const { return c10::multiply_integers(shape); }

void Parameter::refresh_compute() {
  if (!is_shared && !compute.is_same(value)) compute.copy_(value);
}

}  // namespace anneal
