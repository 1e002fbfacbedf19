#include "nn/swiglu.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>

#include "nn/element_type.h"
#include "nn/plain_forms.h"

#ifndef ANNEAL_NN_SWIGLU_ARGUMENTS  // this file is compiled once for each SIMD target
#define ANNEAL_NN_SWIGLU_ARGUMENTS
namespace anneal {
namespace {

struct Forward {
  const at::Tensor &gate, &up;
  at::Tensor& activation;
};

struct Backward {
  const at::Tensor& d_activation;
  at::Tensor &gate, &up;
};

}  // namespace
}  // namespace anneal
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/swiglu.cpp"
#include <hwy/foreach_target.h>

#include "nn/exp-inl.h"
#include "nn/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

HWY_INLINE FloatVec sigmoid(FloatVec x) {
  const auto one = hn::Set(FloatTag(), 1.0f);
  return hn::Div(one, hn::Add(one, exponential(hn::Neg(x))));
}

void forward_range(const Forward& f, std::int64_t begin, std::int64_t end) {
  dispatch_element_type(f.gate.scalar_type(), [&]<class T>(T*) HWY_ATTR {
    const T* gate = f.gate.const_data_ptr<T>() + begin;
    const T* up = f.up.const_data_ptr<T>() + begin;
    T* out = f.activation.mutable_data_ptr<T>() + begin;
    for_each_vector(end - begin, [&](std::size_t at, std::size_t count) HWY_ATTR {
      const auto g = load(gate + at, count);
      store(hn::Mul(hn::Mul(g, sigmoid(g)), load(up + at, count)), out + at, count);
    });
  });
}

void backward_range(const Backward& b, std::int64_t begin, std::int64_t end) {
  dispatch_element_type(b.gate.scalar_type(), [&]<class T>(T*) HWY_ATTR {
    const T* d_activation = b.d_activation.const_data_ptr<T>() + begin;
    T* gate = b.gate.mutable_data_ptr<T>() + begin;
    T* up = b.up.mutable_data_ptr<T>() + begin;
    const auto one = hn::Set(FloatTag(), 1.0f);
    for_each_vector(end - begin, [&](std::size_t at, std::size_t count) HWY_ATTR {
      const auto g = load(gate + at, count), d = load(d_activation + at, count);
      const auto s = sigmoid(g);
      const auto slope = hn::Mul(s, hn::MulAdd(g, hn::Sub(one, s), one));
      store(hn::Mul(hn::Mul(d, load(up + at, count)), slope), gate + at, count);
      store(hn::Mul(d, hn::Mul(g, s)), up + at, count);
    });
  });
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anneal {
namespace {

HWY_EXPORT(forward_range);
HWY_EXPORT(backward_range);

constexpr std::int64_t kElementsPerTask = 1 << 14;

}  // namespace

void swiglu(const at::Tensor& gate, const at::Tensor& up, at::Tensor& activation) {
  if (!runs_kernel(Kernel::kSwiglu, gate)) return plain::swiglu(gate, up, activation);
  const Forward forward{gate, up, activation};
  at::parallel_for(0, gate.numel(), kElementsPerTask, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(forward_range)(forward, begin, end);
  });
}

void swiglu_backward(const at::Tensor& d_activation, at::Tensor& gate, at::Tensor& up) {
  if (!runs_kernel(Kernel::kSwiglu, gate)) return plain::swiglu_backward(d_activation, gate, up);
  const Backward backward{d_activation, gate, up};
  at::parallel_for(0, gate.numel(), kElementsPerTask, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(backward_range)(backward, begin, end);
  });
}

namespace plain {

void swiglu(const at::Tensor& gate, const at::Tensor& up, at::Tensor& activation) {
  activation.copy_(at::silu(gate.to(at::kFloat)) * up.to(at::kFloat));
}

void swiglu_backward(const at::Tensor& d_activation, at::Tensor& gate, at::Tensor& up) {
  const auto d = d_activation.to(at::kFloat), g = gate.to(at::kFloat);
  const auto s = at::sigmoid(g);
  const auto d_gate = d * up.to(at::kFloat) * s * (g * (1 - s) + 1);
  up.copy_(d * g * s);
  gate.copy_(d_gate);  // last: in float32, g is the gate itself
}

}  // namespace plain
}  // namespace anneal
#endif  // HWY_ONCE
