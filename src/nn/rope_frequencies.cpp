#include "nn/rope_frequencies.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace anneal {
namespace {

// 2i / D
at::Tensor exponents(const RopeParameters& rope) {
  return at::arange(0, rope.rotary_dim, 2, at::kFloat) / static_cast<double>(rope.rotary_dim);
}

at::Tensor unscaled(const RopeParameters& rope) {
  return at::reciprocal(at::pow(rope.theta, exponents(rope)));
}

// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between interpolated.
at::Tensor llama3(const RopeParameters& rope) {
  const auto frequency_F = unscaled(rope);
  const double original = rope.original_max_position_embeddings;
  const double low_wavelength = original / rope.low_frequency_factor;
  const double high_wavelength = original / rope.high_frequency_factor;
  const auto wavelength = at::reciprocal(frequency_F) * (2 * std::numbers::pi);
  const auto stretched = at::where(wavelength.gt(low_wavelength), frequency_F / rope.factor, frequency_F);
  const auto smooth = (at::reciprocal(wavelength) * original - rope.low_frequency_factor) /
                      (rope.high_frequency_factor - rope.low_frequency_factor);
  const auto between = (1 - smooth) * stretched / rope.factor + smooth * stretched;
  const auto is_between = wavelength.ge(high_wavelength).logical_and(wavelength.le(low_wavelength));
  return at::where(is_between, between, stretched);
}

// NTK scaling: beyond the trained length, the base grows with the length.
at::Tensor dynamic(const RopeParameters& rope, std::int64_t length) {
  if (length <= rope.max_position_embeddings) return unscaled(rope);
  const auto dim = static_cast<double>(rope.rotary_dim);
  const auto growth =
      at::scalar_tensor(length, at::kLong) * rope.factor / static_cast<double>(rope.max_position_embeddings) -
      (rope.factor - 1);
  return at::reciprocal(at::pow(at::pow(growth, dim / (dim - 2)) * rope.theta, exponents(rope)));
}

// YaRN (Peng et al. 2023): the index of the frequency that turns `rotations` times over the trained length.
double yarn_index(const RopeParameters& rope, double rotations) {
  return static_cast<double>(rope.rotary_dim) *
         std::log(rope.original_max_position_embeddings / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(rope.theta));
}

// Fast frequencies are kept, slow ones stretched by `factor`, with a ramp between.
at::Tensor yarn(const RopeParameters& rope) {
  double low = yarn_index(rope, rope.beta_fast), high = yarn_index(rope, rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rope.rotary_dim) - 1);
  if (low == high) high += 0.001;
  const auto index_F = at::arange(rope.rotary_dim / 2, at::kFloat);
  const auto kept_F = 1 - ((index_F - low) / (high - low)).clamp(0, 1);
  const auto wavelength_F = at::pow(rope.theta, exponents(rope));
  return at::reciprocal(wavelength_F * rope.factor) * (1 - kept_F) + at::reciprocal(wavelength_F) * kept_F;
}

// LongRoPE (Ding et al. 2024): each frequency has its own factor, one for short and one for long samples.
at::Tensor longrope(const RopeParameters& rope, std::int64_t length) {
  const bool is_long = static_cast<double>(length) > rope.original_max_position_embeddings;
  const auto factor_F = at::tensor(is_long ? rope.long_factor : rope.short_factor, at::kFloat);
  return at::reciprocal(factor_F * at::pow(rope.theta, exponents(rope)));
}

}  // namespace

at::Tensor inverse_frequencies(const RopeParameters& rope, std::int64_t length) {
  if (rope.kind == "linear") return unscaled(rope) / rope.factor;
  if (rope.kind == "dynamic") return dynamic(rope, length);
  if (rope.kind == "yarn") return yarn(rope);
  if (rope.kind == "longrope") return longrope(rope, length);
  return rope.kind == "llama3" ? llama3(rope) : unscaled(rope);
}

}  // namespace anneal
