#include "nn/rotary.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

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
    const std::int64_t heads = r.x_NHD.size(1), width = r.x_NHD.size(2);
    const std::int64_t half = r.table.cos_NF.size(1);
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

}  // namespace

RopeTable rope_table(const at::Tensor& positions_N, const at::Tensor& inverse_frequency_F,
                     double attention_factor) {
  const auto angle_NF = positions_N.to(at::kFloat).unsqueeze(1) * inverse_frequency_F.unsqueeze(0);
  return {angle_NF.cos().mul_(attention_factor), angle_NF.sin().mul_(attention_factor)};
}

void apply_rope(at::Tensor& x_NHD, const RopeTable& table, Rotation rotation) {
  if (!runs_kernel(Kernel::kRotary, x_NHD)) return plain::apply_rope(x_NHD, table, rotation);
  const RotateRows rows{x_NHD, table, rotation == Rotation::kInverse};
  at::parallel_for(0, x_NHD.size(0), 8, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(rotate_rows)(rows, begin, end);
  });
}

namespace plain {

void apply_rope(at::Tensor& x_NHD, const RopeTable& table, Rotation rotation) {
  auto rotated_NHR = x_NHD.slice(-1, 0, 2 * table.cos_NF.size(1));
  const auto halves = rotated_NHR.to(at::kFloat).chunk(2, -1);
  const auto cos = table.cos_NF.unsqueeze(1);
  const auto sin = rotation == Rotation::kInverse ? -table.sin_NF.unsqueeze(1) : table.sin_NF.unsqueeze(1);
  rotated_NHR.copy_(at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1));
}

}  // namespace plain
}  // namespace anneal
#endif  // HWY_ONCE
