// Rows of attention weights. Included once for each SIMD target.
#include "nn/exp-inl.h"

#if defined(ANNEAL_NN_SOFTMAX_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNEAL_NN_SOFTMAX_INL
#undef ANNEAL_NN_SOFTMAX_INL
#else
#define ANNEAL_NN_SOFTMAX_INL
#endif

#include <algorithm>
#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

struct SoftmaxRow {
  float maximum, sum;
};

// weights = exp(scale * (scores - maximum)) of the keys [first, end), zero for the others up to `padded`. The
// result does not depend on how many whole vectors of hidden keys come first.
template <class T>
SoftmaxRow softmax_row(const float* scores, std::int64_t first, std::int64_t end, std::int64_t padded,
                       float scale, T* weights) {
  const std::size_t lanes = hn::Lanes(FloatTag());
  const std::int64_t begin = first / static_cast<std::int64_t>(lanes) * static_cast<std::int64_t>(lanes);
  std::fill(weights, weights + begin, T(0));
  scores += begin;
  weights += begin;
  const std::size_t hidden = first - begin;
  const std::int64_t valid = end - begin;
  auto largest = hn::Set(FloatTag(), -INFINITY);
  std::size_t at = 0;
  float maximum = -INFINITY;
  if (hidden > 0)
    for (at = hidden; at < std::min<std::size_t>(lanes, valid); ++at) maximum = std::max(maximum, scores[at]);
  for (; at + lanes <= static_cast<std::size_t>(valid); at += lanes)
    largest = hn::Max(largest, load(scores + at));
  maximum = std::max(maximum, hn::GetLane(hn::MaxOfLanes(FloatTag(), largest)));
  for (; at < static_cast<std::size_t>(valid); ++at) maximum = std::max(maximum, scores[at]);
  const auto shift = hn::Set(FloatTag(), maximum), factor = hn::Set(FloatTag(), scale);
  auto sum = hn::Zero(FloatTag());
  for_each_vector(valid, [&](std::size_t from, std::size_t count) HWY_ATTR {
    auto weight = exponential(hn::Mul(hn::Sub(load(scores + from, count), shift), factor));
    if (count < lanes) weight = hn::IfThenElseZero(hn::FirstN(FloatTag(), count), weight);
    if (from == 0 && hidden > 0) weight = hn::IfThenElseZero(hn::Not(hn::FirstN(FloatTag(), hidden)), weight);
    sum = hn::Add(sum, weight);
    store(weight, weights + from, count);
  });
  std::fill(weights + valid, weights + padded - begin, T(0));
  return {maximum, hn::GetLane(hn::SumOfLanes(FloatTag(), sum))};
}

template <class T>
void scaled_store(const float* from, float factor, std::int64_t width, T* to) {
  const auto f = hn::Set(FloatTag(), factor);
  for_each_vector(width, [&](std::size_t at, std::size_t count)
                             HWY_ATTR { store(hn::Mul(load(from + at, count), f), to + at, count); });
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
