#include "nn/rms_norm.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>

#include <cmath>

#include "nn/element_type.h"
#include "nn/plain_forms.h"

#ifndef ANNEAL_NN_RMS_NORM_ARGUMENTS  // this file is compiled once for each SIMD target
#define ANNEAL_NN_RMS_NORM_ARGUMENTS
namespace anneal {
namespace {

struct Forward {
  const at::Tensor &x, &weight;
  float eps;
  at::Tensor &y, &inverse_rms;
};

struct Backward {
  const at::Tensor &dy, &x, &weight, &inverse_rms;
  at::Tensor& dx;
  bool accumulate;
};

}  // namespace
}  // namespace anneal
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/rms_norm.cpp"
#include <hwy/foreach_target.h>

#include "nn/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

template <class T>
float forward_row(const T* x, const float* weight, T* y, std::size_t width, float eps) {
  auto squares = hn::Zero(FloatTag());
  for_each_vector(width, [&](std::size_t at, std::size_t count) HWY_ATTR {
    const auto value = load(x + at, count);
    squares = hn::MulAdd(value, value, squares);
  });
  const float mean = hn::GetLane(hn::SumOfLanes(FloatTag(), squares)) / static_cast<float>(width);
  const float inverse_rms = 1.0f / std::sqrt(mean + eps);
  const auto factor = hn::Set(FloatTag(), inverse_rms);
  for_each_vector(width, [&](std::size_t at, std::size_t count) HWY_ATTR {
    store(hn::Mul(hn::Mul(load(x + at, count), factor), load(weight + at, count)), y + at, count);
  });
  return inverse_rms;
}

// dx = r w dy - x r^3 / D sum(w dy x)
template <class T>
void backward_row(const T* dy, const T* x, const float* weight, float inverse_rms, T* dx, std::size_t width,
                  bool accumulate) {
  auto products = hn::Zero(FloatTag());
  for_each_vector(width, [&](std::size_t at, std::size_t count) HWY_ATTR {
    products =
        hn::MulAdd(hn::Mul(load(dy + at, count), load(weight + at, count)), load(x + at, count), products);
  });
  const float sum = hn::GetLane(hn::SumOfLanes(FloatTag(), products));
  const auto along =
      hn::Set(FloatTag(), sum * inverse_rms * inverse_rms * inverse_rms / static_cast<float>(width));
  const auto factor = hn::Set(FloatTag(), inverse_rms);
  for_each_vector(width, [&](std::size_t at, std::size_t count) HWY_ATTR {
    const auto scaled = hn::Mul(hn::Mul(load(dy + at, count), load(weight + at, count)), factor);
    auto gradient = hn::NegMulAdd(load(x + at, count), along, scaled);
    if (accumulate) gradient = hn::Add(gradient, load(dx + at, count));
    store(gradient, dx + at, count);
  });
}

void forward_rows(const Forward& f, std::int64_t begin, std::int64_t end) {
  dispatch_element_type(f.x.scalar_type(), [&]<class T>(T*) HWY_ATTR {
    const T* x = f.x.const_data_ptr<T>();
    const float* weight = f.weight.const_data_ptr<float>();
    T* y = f.y.mutable_data_ptr<T>();
    float* inverse_rms = f.inverse_rms.mutable_data_ptr<float>();
    const std::int64_t width = f.weight.numel();
    for (std::int64_t row = begin; row < end; ++row)
      inverse_rms[row] = forward_row(x + row * width, weight, y + row * width, width, f.eps);
  });
}

void backward_rows(const Backward& b, std::int64_t begin, std::int64_t end) {
  dispatch_element_type(b.x.scalar_type(), [&]<class T>(T*) HWY_ATTR {
    const T* dy = b.dy.const_data_ptr<T>();
    const T* x = b.x.const_data_ptr<T>();
    const float* weight = b.weight.const_data_ptr<float>();
    const float* inverse_rms = b.inverse_rms.const_data_ptr<float>();
    T* dx = b.dx.mutable_data_ptr<T>();
    const std::int64_t width = b.weight.numel();
    for (std::int64_t row = begin; row < end; ++row)
      backward_row(dy + row * width, x + row * width, weight, inverse_rms[row], dx + row * width, width,
                   b.accumulate);
  });
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anneal {
namespace {

HWY_EXPORT(forward_rows);
HWY_EXPORT(backward_rows);

constexpr std::int64_t kRowsPerTask = 16;

}  // namespace

void rms_norm(const at::Tensor& x_ND, const at::Tensor& weight_D, double eps, at::Tensor& y_ND,
              at::Tensor& inverse_rms_N) {
  if (!runs_kernel(Kernel::kRmsNorm, x_ND)) return plain::rms_norm(x_ND, weight_D, eps, y_ND, inverse_rms_N);
  const Forward forward{x_ND, weight_D, static_cast<float>(eps), y_ND, inverse_rms_N};
  at::parallel_for(0, inverse_rms_N.numel(), kRowsPerTask, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(forward_rows)(forward, begin, end);
  });
}

void rms_norm_backward(const at::Tensor& dy_ND, const at::Tensor& x_ND, const at::Tensor& weight_D,
                       const at::Tensor& inverse_rms_N, at::Tensor& dx_ND, bool accumulate) {
  if (!runs_kernel(Kernel::kRmsNorm, x_ND))
    return plain::rms_norm_backward(dy_ND, x_ND, weight_D, inverse_rms_N, dx_ND, accumulate);
  const Backward backward{dy_ND, x_ND, weight_D, inverse_rms_N, dx_ND, accumulate};
  at::parallel_for(0, inverse_rms_N.numel(), kRowsPerTask, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(backward_rows)(backward, begin, end);
  });
}

at::Tensor rms_norm_weight_gradient(const at::Tensor& dy_ND, const at::Tensor& x_ND,
                                    const at::Tensor& inverse_rms_N) {
  const auto normalised = x_ND * inverse_rms_N.unsqueeze(-1);  // float32: the wider of the two types
  return (normalised * dy_ND).sum(0);
}

namespace plain {
namespace {

at::Tensor rows_of(const at::Tensor& x_ND, const at::Tensor& weight_D) {
  return x_ND.to(at::kFloat).view({-1, weight_D.numel()});
}

}  // namespace

void rms_norm(const at::Tensor& x_ND, const at::Tensor& weight_D, double eps, at::Tensor& y_ND,
              at::Tensor& inverse_rms_N) {
  const auto x = rows_of(x_ND, weight_D);
  const auto inverse_rms = at::rsqrt(x.pow(2).mean(-1, true) + eps);
  inverse_rms_N.copy_(inverse_rms.squeeze(-1));
  y_ND.copy_((x * inverse_rms * weight_D).view(x_ND.sizes()));
}

void rms_norm_backward(const at::Tensor& dy_ND, const at::Tensor& x_ND, const at::Tensor& weight_D,
                       const at::Tensor& inverse_rms_N, at::Tensor& dx_ND, bool accumulate) {
  const auto x = rows_of(x_ND, weight_D);
  const auto inverse_rms = inverse_rms_N.unsqueeze(-1);
  const auto scaled = rows_of(dy_ND, weight_D) * weight_D;
  auto dx = (scaled * inverse_rms - x * inverse_rms.pow(3) * (scaled * x).mean(-1, true)).view(x_ND.sizes());
  if (accumulate) dx = dx + dx_ND;
  dx_ND.copy_(dx);
}

}  // namespace plain
}  // namespace anneal
#endif  // HWY_ONCE
