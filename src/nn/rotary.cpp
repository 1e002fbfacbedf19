#include "nn/rotary.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/where.h>

#include <numbers>

#include "nn/element_type.h"
#include "nn/plain_forms.h"

#ifndef ANNEAL_NN_ROTARY_ARGUMENTS  // this file is compiled once for each SIMD target
#define ANNEAL_NN_ROTARY_ARGUMENTS
namespace anneal {
namespace {

struct RotateRows {
  at::Tensor& x_NHD;
  const RopeTable& table;
  bool inverse;
};

}  // namespace
}  // namespace anneal
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/rotary.cpp"
#include <hwy/foreach_target.h>

#include "nn/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

template <class T>
void rotate_head(T* head, const float* cos, const float* sin, std::int64_t half, bool inverse) {
  for_each_vector(half, [&](std::size_t at, std::size_t count) HWY_ATTR {
    const auto c = load(cos + at, count);
    auto s = load(sin + at, count);
    if (inverse) s = hn::Neg(s);
    const auto first = load(head + at, count), second = load(head + half + at, count);
    store(hn::NegMulAdd(second, s, hn::Mul(first, c)), head + at, count);
    store(hn::MulAdd(first, s, hn::Mul(second, c)), head + half + at, count);
  });
}

void rotate_rows(const RotateRows& r, std::int64_t begin, std::int64_t end) {
  dispatch_element_type(r.x_NHD.scalar_type(), [&]<class T>(T*) HWY_ATTR {
    T* x = r.x_NHD.mutable_data_ptr<T>();
    const float* cos = r.table.cos_NF.const_data_ptr<float>();
    const float* sin = r.table.sin_NF.const_data_ptr<float>();
    const std::int64_t heads = r.x_NHD.size(1), width = r.x_NHD.size(2), half = width / 2;
    for (std::int64_t token = begin; token < end; ++token)
      for (std::int64_t head = 0; head < heads; ++head)
        rotate_head(x + (token * heads + head) * width, cos + token * half, sin + token * half, half,
                    r.inverse);
  });
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anneal {
namespace {

HWY_EXPORT(rotate_rows);

// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between interpolated.
at::Tensor scale_as_llama3(const at::Tensor& frequency_F, const RopeScaling& scaling) {
  const double low_wavelength = scaling.original_max_position_embeddings / scaling.low_frequency_factor;
  const double high_wavelength = scaling.original_max_position_embeddings / scaling.high_frequency_factor;
  const auto wavelength = at::reciprocal(frequency_F) * (2 * std::numbers::pi);
  const auto stretched = at::where(wavelength.gt(low_wavelength), frequency_F / scaling.factor, frequency_F);
  const auto smooth =
      (at::reciprocal(wavelength) * scaling.original_max_position_embeddings - scaling.low_frequency_factor) /
      (scaling.high_frequency_factor - scaling.low_frequency_factor);
  const auto between = (1 - smooth) * stretched / scaling.factor + smooth * stretched;
  const auto is_between = wavelength.ge(high_wavelength).logical_and(wavelength.le(low_wavelength));
  return at::where(is_between, between, stretched);
}

}  // namespace

at::Tensor rope_frequencies(std::int64_t head_dim, double theta, const RopeScaling& scaling) {
  const auto exponent = at::arange(0, head_dim, 2, at::kFloat) / static_cast<double>(head_dim);
  const auto frequency = at::reciprocal(at::pow(theta, exponent));
  return scaling.kind == "llama3" ? scale_as_llama3(frequency, scaling) : frequency;
}

RopeTable rope_table(const at::Tensor& positions_N, const at::Tensor& inverse_frequency_F) {
  const auto angle = positions_N.to(at::kFloat).unsqueeze(1) * inverse_frequency_F.unsqueeze(0);
  return {angle.cos(), angle.sin()};
}

void apply_rope(at::Tensor& x_NHD, const RopeTable& table, Rotation rotation) {
  if (!runs_kernels(x_NHD)) return plain::apply_rope(x_NHD, table, rotation);
  const RotateRows rows{x_NHD, table, rotation == Rotation::kInverse};
  at::parallel_for(0, x_NHD.size(0), 8, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(rotate_rows)(rows, begin, end);
  });
}

namespace plain {

void apply_rope(at::Tensor& x_NHD, const RopeTable& table, Rotation rotation) {
  const auto halves = x_NHD.to(at::kFloat).chunk(2, -1);
  const auto cos = table.cos_NF.unsqueeze(1);
  const auto sin = rotation == Rotation::kInverse ? -table.sin_NF.unsqueeze(1) : table.sin_NF.unsqueeze(1);
  x_NHD.copy_(at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1));
}

}  // namespace plain
}  // namespace anneal
#endif  // HWY_ONCE
