#include "nn/cross_entropy.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>

#include <cmath>

#include "nn/element_type.h"

#ifndef ANNEAL_NN_CROSS_ENTROPY_ARGUMENTS  // this file is compiled once for each SIMD target
#define ANNEAL_NN_CROSS_ENTROPY_ARGUMENTS
namespace anneal {
namespace {

struct LossRows {
  at::Tensor& logits_NV;
  std::span<const std::int64_t> targets_N;
  std::optional<double> gradient_scale;
  std::span<RowLoss> losses_N;
};

}  // namespace
}  // namespace anneal
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/cross_entropy.cpp"
#include <hwy/foreach_target.h>

#include "nn/exp-inl.h"
#include "nn/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

// A NaN among the logits has to come out as NaN, which a vector maximum may lose: the sum of exponentials
// keeps it.
template <class T>
float row_maximum(const T* logits, std::size_t size) {
  const std::size_t lanes = hn::Lanes(FloatTag());
  auto maximum = hn::Set(FloatTag(), -INFINITY);
  std::size_t at = 0;
  for (; at + lanes <= size; at += lanes) maximum = hn::Max(maximum, load(logits + at));
  float result = hn::GetLane(hn::MaxOfLanes(FloatTag(), maximum));
  for (; at < size; ++at) result = std::max(result, static_cast<float>(logits[at]));
  return result;
}

template <class T>
double sum_of_exponentials(const T* logits, std::size_t size, float maximum) {
  constexpr std::size_t kBlock = 4096;  // float sums stay short; blocks are added in double
  const std::size_t lanes = hn::Lanes(FloatTag());
  const auto shift = hn::Set(FloatTag(), maximum);
  double total = 0;
  std::size_t at = 0;
  for (std::size_t block = 0; block < size; block += kBlock) {
    const std::size_t end = std::min(size, block + kBlock);
    auto sum = hn::Zero(FloatTag());
    for (; at + lanes <= end; at += lanes) sum = hn::Add(sum, exponential(hn::Sub(load(logits + at), shift)));
    total += hn::GetLane(hn::SumOfLanes(FloatTag(), sum));
  }
  for (; at < size; ++at) total += std::exp(static_cast<float>(logits[at]) - maximum);
  return total;
}

template <class T>
void write_gradient(T* logits, std::size_t size, std::int64_t target, float maximum, double total,
                    double scale) {
  const float target_logit = static_cast<float>(logits[target]);
  const auto shift = hn::Set(FloatTag(), maximum);
  const auto factor = hn::Set(FloatTag(), static_cast<float>(scale / total));
  for_each_vector(size, [&](std::size_t at, std::size_t count) HWY_ATTR {
    const auto value = exponential(hn::Sub(load(logits + at, count), shift));
    store(hn::Mul(value, factor), logits + at, count);
  });
  const double probability = std::exp(target_logit - maximum) / total;
  logits[target] = static_cast<T>(static_cast<float>((probability - 1) * scale));
}

template <class T>
bool is_first_maximum(const T* logits, std::int64_t target, float maximum) {
  if (static_cast<float>(logits[target]) != maximum) return false;
  for (std::int64_t at = 0; at < target; ++at)
    if (static_cast<float>(logits[at]) == maximum) return false;
  return true;
}

void loss_rows(const LossRows& l, std::int64_t begin, std::int64_t end) {
  dispatch_element_type(l.logits_NV.scalar_type(), [&]<class T>(T*) HWY_ATTR {
    const std::int64_t size = l.logits_NV.size(1);
    for (std::int64_t row = begin; row < end; ++row) {
      T* logits = l.logits_NV.mutable_data_ptr<T>() + row * size;
      const std::int64_t target = l.targets_N[row];
      const float maximum = row_maximum(logits, size);
      const double total = sum_of_exponentials(logits, size, maximum);
      l.losses_N[row].nll =
          std::log(total) + (static_cast<double>(maximum) - static_cast<float>(logits[target]));
      l.losses_N[row].target_is_argmax = is_first_maximum(logits, target, maximum);
      if (l.gradient_scale) write_gradient(logits, size, target, maximum, total, *l.gradient_scale);
    }
  });
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anneal {
namespace {
HWY_EXPORT(loss_rows);
}

void cross_entropy(at::Tensor& logits_NV, std::span<const std::int64_t> targets_N,
                   std::optional<double> gradient_scale, std::span<RowLoss> losses_N) {
  const LossRows rows{logits_NV, targets_N, gradient_scale, losses_N};
  at::parallel_for(0, logits_NV.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(loss_rows)(rows, begin, end);
  });
}

namespace plain {

at::Tensor cross_entropy(const at::Tensor& logits_NV, const at::Tensor& targets_N) {
  const auto log_probability = at::log_softmax(logits_NV, -1, at::kFloat);
  return -at::gather(log_probability, 1, targets_N.unsqueeze(1)).squeeze(1);
}

}  // namespace plain
}  // namespace anneal
#endif  // HWY_ONCE
