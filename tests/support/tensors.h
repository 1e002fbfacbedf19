// Tensors for tests: made from a seed, compared in float64.
#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>

#include <algorithm>

#include "base/random.h"

namespace anneal {

// Uniform in (-1, 1), a function of the seed, rounded to `type`.
inline at::Tensor random_tensor(at::IntArrayRef sizes, std::uint64_t seed, at::ScalarType type = at::kFloat) {
  auto values = at::empty(sizes, at::kDouble);
  auto* to = values.mutable_data_ptr<double>();
  for (std::int64_t at = 0; at < values.numel(); ++at) to[at] = 2 * to_unit_interval(mix(seed, at)) - 1;
  return values.to(type);
}

inline at::Tensor in_double(const at::Tensor& tensor) { return tensor.to(at::kDouble); }

// The largest difference over the largest expected value. NaN where a value of either is not finite.
inline double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.sizes() != expected.sizes()) return NAN;
  if (expected.numel() == 0) return 0;
  const auto difference = (in_double(actual) - in_double(expected)).abs().max().item<double>();
  const auto size = in_double(expected).abs().max().item<double>();
  return size > 0 ? difference / size : difference;
}

// The length of the difference over the length of what is expected: of many roundings their mean, not their
// worst.
inline double relative_distance(const at::Tensor& actual, const at::Tensor& expected) {
  const auto difference = in_double(actual) - in_double(expected), size = in_double(expected);
  return ((difference * difference).sum() / (size * size).sum()).sqrt().item<double>();
}

inline bool bits_are_equal(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && at::equal(a, b);
}

// Every element of `actual` within half a unit in the last place of bfloat16 of `exact`, and `slack` of it
// for the error of the float32 value that was rounded.
inline bool is_rounded_to_bf16(const at::Tensor& actual, const at::Tensor& exact, double slack = 1e-4) {
  const auto reference = in_double(exact);
  const auto bound = reference.abs() * (0x1.0p-8 + slack) + 1e-7;
  return actual.scalar_type() == at::kBFloat16 &&
         (in_double(actual) - reference).abs().le(bound).all().item<bool>();
}

}  // namespace anneal
