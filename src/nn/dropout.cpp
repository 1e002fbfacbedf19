#include "nn/dropout.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/bitwise_xor.h>
#include <ATen/ops/cat.h>

#include "nn/dropout_words.h"
#include "nn/element_type.h"
#include "nn/plain_forms.h"

#ifndef ANNEAL_NN_DROPOUT_ARGUMENTS  // this file is compiled once for each SIMD target
#define ANNEAL_NN_DROPOUT_ARGUMENTS
namespace anneal {
namespace {

struct DropRows {
  const at::Tensor& from;
  const DropoutKeys& keys;
  std::int32_t threshold;
  float scale;
  at::Tensor& to;
  bool accumulate;
};

}  // namespace
}  // namespace anneal
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/dropout.cpp"
#include <hwy/foreach_target.h>

#include "nn/dropout-inl.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

template <class T>
HWY_INLINE void drop_vector(const DropRows& d, const T* from, T* to, std::size_t count,
                            hn::Mask<FloatTag> keep) {
  auto value = hn::IfThenElseZero(keep, hn::Mul(load(from, count), hn::Set(FloatTag(), d.scale)));
  if (d.accumulate) value = hn::Add(value, load(to, count));
  store(value, to, count);
}

template <class T>
void drop_row(const DropRows& d, std::uint64_t key, const T* from, T* to, std::size_t width) {
  for_each_kept(key, d.threshold, 0, width, [&](std::size_t at, std::size_t count, auto keep) HWY_ATTR {
    drop_vector(d, from + at, to + at, count, keep);
  });
}

void drop_rows(const DropRows& d, std::int64_t begin, std::int64_t end) {
  dispatch_element_type(d.from.scalar_type(), [&]<class T>(T*) HWY_ATTR {
    const T* from = d.from.const_data_ptr<T>();
    T* to = d.to.mutable_data_ptr<T>();
    const std::int64_t width = d.from.size(1);
    for (std::int64_t row = begin; row < end; ++row)
      drop_row(d, element_key(d.keys, row), from + row * width, to + row * width, width);
  });
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anneal {
namespace {

HWY_EXPORT(drop_rows);

void run(const at::Tensor& from, const DropoutKeys& keys, double probability, at::Tensor& to,
         bool accumulate) {
  const DropRows rows{from, keys,      drop_threshold(probability), static_cast<float>(1 / (1 - probability)),
                      to,   accumulate};
  at::parallel_for(0, from.size(0), 8, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(drop_rows)(rows, begin, end);
  });
}

// splitmix64() of base/random.h on tensors. Products and sums of int64 keep the low 64 bits, as those of
// uint64 do; a right shift copies the sign, which the mask takes off.
at::Tensor xor_shifted(const at::Tensor& z, int bits) {
  const auto shifted = at::bitwise_right_shift(z, bits).bitwise_and_((std::int64_t{1} << (64 - bits)) - 1);
  return at::bitwise_xor(z, shifted);
}

at::Tensor element_keys(const DropoutKeys& keys) {
  auto z_N = keys.row_keys_N + static_cast<std::int64_t>(0x9E3779B97F4A7C15ULL * (keys.module_key + 1));
  z_N = xor_shifted(z_N, 30).mul_(static_cast<std::int64_t>(0xBF58476D1CE4E5B9ULL));
  z_N = xor_shifted(z_N, 27).mul_(static_cast<std::int64_t>(0x94D049BB133111EBULL));
  return xor_shifted(z_N, 31);
}

constexpr std::int64_t kLow32 = 0xFFFFFFFF;

}  // namespace

void dropout(const at::Tensor& x_ND, const DropoutKeys& keys, double probability, at::Tensor& y_ND) {
  if (!runs_kernel(Kernel::kDropout, x_ND)) return plain::dropout(x_ND, keys, probability, y_ND);
  run(x_ND, keys, probability, y_ND, false);
}

void add_dropout_backward(const at::Tensor& g_ND, const DropoutKeys& keys, double probability,
                          at::Tensor& sum_ND) {
  if (!runs_kernel(Kernel::kDropout, g_ND))
    return plain::add_dropout_backward(g_ND, keys, probability, sum_ND);
  run(g_ND, keys, probability, sum_ND, true);
}

namespace plain {
namespace {

at::Tensor dropped(const at::Tensor& x_ND, const DropoutKeys& keys, double probability) {
  auto scaled_ND = x_ND.to(at::kFloat) * static_cast<float>(1 / (1 - probability));
  return scaled_ND.masked_fill_(dropout_mask(x_ND.size(1), keys, probability).bitwise_not(), 0);
}

}  // namespace

// The 32-bit words are held in int64.
at::Tensor dropout_mask(std::int64_t width, const DropoutKeys& keys, double probability) {
  const auto keys_N1 = element_keys(keys).unsqueeze(1);
  constexpr auto kBlockElements = static_cast<std::int64_t>(2 * kWordsPerBlock);
  const auto blocks = (width + kBlockElements - 1) / kBlockElements;
  const auto words_W = at::arange(blocks * static_cast<std::int64_t>(kWordsPerBlock), keys_N1.options());
  auto z_NW = (words_W.unsqueeze(0) + keys_N1).bitwise_and_(kLow32);
  z_NW = xor_shifted(z_NW, 16).mul_(kFirstFactor).bitwise_and_(kLow32);
  z_NW.bitwise_xor_(at::bitwise_right_shift(keys_N1, 32).bitwise_and_(kLow32));
  z_NW = xor_shifted(z_NW, 15).mul_(kSecondFactor).bitwise_and_(kLow32);
  z_NW = xor_shifted(z_NW, 16).view({keys_N1.size(0), blocks, kWordsPerBlock});
  const auto bits = at::cat({z_NW.bitwise_and(0xFFFF), at::bitwise_right_shift(z_NW, 16)}, 2);
  return bits.view({keys_N1.size(0), -1}).slice(1, 0, width).ge(drop_threshold(probability));
}

void dropout(const at::Tensor& x_ND, const DropoutKeys& keys, double probability, at::Tensor& y_ND) {
  y_ND.copy_(dropped(x_ND, keys, probability));
}

void add_dropout_backward(const at::Tensor& g_ND, const DropoutKeys& keys, double probability,
                          at::Tensor& sum_ND) {
  sum_ND.copy_(dropped(g_ND, keys, probability) + sum_ND);
}

}  // namespace plain
}  // namespace anneal
#endif  // HWY_ONCE
