#include "nn/cross_entropy.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>

#include <cmath>

#include "nn/element_type.h"
#include "nn/plain_forms.h"

#ifndef ANNEAL_NN_CROSS_ENTROPY_ARGUMENTS  // this file is compiled once for each SIMD target
#define ANNEAL_NN_CROSS_ENTROPY_ARGUMENTS
namespace anneal {
namespace {

struct LossRows {
  at::Tensor& logits_NV;
  const at::Tensor& targets_N;
  std::optional<double> gradient_scale;
  const RowLosses& losses_N;
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
    const auto* targets = l.targets_N.const_data_ptr<std::int64_t>();
    auto* nll = l.losses_N.nll_N.mutable_data_ptr<double>();
    auto* is_argmax = l.losses_N.target_is_argmax_N.mutable_data_ptr<bool>();
    for (std::int64_t row = begin; row < end; ++row) {
      T* logits = l.logits_NV.mutable_data_ptr<T>() + row * size;
      const std::int64_t target = targets[row];
      const float maximum = row_maximum(logits, size);
      const double total = sum_of_exponentials(logits, size, maximum);
      nll[row] = std::log(total) + (static_cast<double>(maximum) - static_cast<float>(logits[target]));
      is_argmax[row] = is_first_maximum(logits, target, maximum);
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

RowLosses::RowLosses(std::int64_t rows, at::Device device)
    : nll_N(at::empty({rows}, at::TensorOptions(device).dtype(at::kDouble))),
      target_is_argmax_N(at::empty({rows}, at::TensorOptions(device).dtype(at::kBool))) {}

RowLosses RowLosses::rows(std::int64_t begin, std::int64_t end) const {
  RowLosses part;
  part.nll_N = nll_N.slice(0, begin, end);
  part.target_is_argmax_N = target_is_argmax_N.slice(0, begin, end);
  return part;
}

std::vector<RowLoss> on_host(const RowLosses& losses_N) {
  std::vector<RowLoss> losses(losses_N.nll_N.numel(), {NAN, false});
  if (losses_N.nll_N.is_meta()) return losses;
  const auto nll_N = losses_N.nll_N.cpu(), target_is_argmax_N = losses_N.target_is_argmax_N.cpu();
  for (std::size_t row = 0; row < losses.size(); ++row)
    losses[row] = {nll_N.const_data_ptr<double>()[row], target_is_argmax_N.const_data_ptr<bool>()[row]};
  return losses;
}

void cross_entropy(at::Tensor& logits_NV, const at::Tensor& targets_N, std::optional<double> gradient_scale,
                   const RowLosses& losses_N) {
  if (!runs_kernel(Kernel::kCrossEntropy, logits_NV))
    return plain::cross_entropy(logits_NV, targets_N, gradient_scale, losses_N);
  const LossRows rows{logits_NV, targets_N, gradient_scale, losses_N};
  at::parallel_for(0, logits_NV.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(loss_rows)(rows, begin, end);
  });
}

namespace plain {

void cross_entropy(at::Tensor& logits_NV, const at::Tensor& targets_N, std::optional<double> gradient_scale,
                   const RowLosses& losses_N) {
  auto log_probability_NV = at::log_softmax(logits_NV, -1, at::kFloat);
  const auto column_N1 = targets_N.unsqueeze(1);
  const auto of_target_N1 = at::gather(log_probability_NV, 1, column_N1);
  losses_N.nll_N.copy_(-of_target_N1.squeeze(1));
  losses_N.target_is_argmax_N.copy_(at::argmax(logits_NV, 1).eq(targets_N));
  if (!gradient_scale) return;
  auto& gradient_NV = log_probability_NV.exp_().scatter_(1, column_N1, at::expm1(of_target_N1));
  logits_NV.copy_(gradient_NV.mul_(*gradient_scale));
}

}  // namespace plain
}  // namespace anneal
#endif  // HWY_ONCE
