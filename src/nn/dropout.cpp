#include "nn/dropout.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <cmath>

#include "base/random.h"
#include "nn/element_type.h"

#ifndef ANNEAL_NN_DROPOUT_ARGUMENTS  // this file is compiled once for each SIMD target
#define ANNEAL_NN_DROPOUT_ARGUMENTS
namespace anneal {
namespace {

struct DropRows {
  const at::Tensor& from;
  const DropoutKeys& keys;
  std::int32_t threshold;  // an element is dropped where its 16 bits are below
  float scale;
  at::Tensor& to;
  bool accumulate;
};

// In each block of 32 elements, word w of 16 decides element w with its low half and element w + 16 with its
// high half: whole vectors of any length up to 16 lanes then need no shuffles.
constexpr std::size_t kWordsPerBlock = 16;
constexpr std::size_t first_element(std::size_t word) {
  return word / kWordsPerBlock * 2 * kWordsPerBlock + word % kWordsPerBlock;
}

// A 32-bit mixer of two multiplications with the key's second half put in between. The constants are those of
// Wellons' low-bias search ("hash-prospector").
inline std::uint32_t word_bits(std::uint32_t word, std::uint64_t key) {
  std::uint32_t z = word + static_cast<std::uint32_t>(key);
  z = (z ^ (z >> 16)) * 0x7FEB352DU;
  z ^= static_cast<std::uint32_t>(key >> 32);
  z = (z ^ (z >> 15)) * 0x846CA68BU;
  return z ^ (z >> 16);
}

std::uint64_t element_key(const DropoutKeys& keys, std::int64_t row) {
  return mix(keys.row_keys_N[row], keys.module_key);
}

}  // namespace
}  // namespace anneal
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/dropout.cpp"
#include <hwy/foreach_target.h>

#include "nn/simd-inl.h"

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
  const hn::RebindToUnsigned<FloatTag> u32;
  const std::size_t lanes = hn::Lanes(u32);
  const auto low = hn::Set(u32, static_cast<std::uint32_t>(key));
  const auto high = hn::Set(u32, static_cast<std::uint32_t>(key >> 32));
  const hn::RebindToSigned<FloatTag> i32;  // Highway orders signed lanes only; 16 bits fit
  const auto last_dropped = hn::Set(i32, d.threshold - 1);
  const auto low_half = hn::Set(u32, 0xFFFF);
  const auto keep = [&](auto bits) HWY_ATTR {
    return hn::RebindMask(FloatTag(), hn::Gt(hn::BitCast(i32, bits), last_dropped));
  };
  for (std::size_t word = 0;; word += lanes) {
    const std::size_t at = first_element(word);
    if (at >= width) break;
    auto z = hn::Add(hn::Iota(u32, static_cast<std::uint32_t>(word)), low);
    z = hn::Mul(hn::Xor(z, hn::ShiftRight<16>(z)), hn::Set(u32, 0x7FEB352DU));
    z = hn::Xor(z, high);
    z = hn::Mul(hn::Xor(z, hn::ShiftRight<15>(z)), hn::Set(u32, 0x846CA68BU));
    z = hn::Xor(z, hn::ShiftRight<16>(z));
    drop_vector(d, from + at, to + at, std::min(lanes, width - at), keep(hn::And(z, low_half)));
    const std::size_t second = at + kWordsPerBlock;
    if (second < width)
      drop_vector(d, from + second, to + second, std::min(lanes, width - second),
                  keep(hn::ShiftRight<16>(z)));
  }
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

std::int32_t threshold_of(double probability) {
  return static_cast<std::int32_t>(std::lround(probability * 65536));
}

void run(const at::Tensor& from, const DropoutKeys& keys, double probability, at::Tensor& to,
         bool accumulate) {
  const DropRows rows{from, keys,      threshold_of(probability), static_cast<float>(1 / (1 - probability)),
                      to,   accumulate};
  at::parallel_for(0, from.size(0), 8, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(drop_rows)(rows, begin, end);
  });
}

}  // namespace

void dropout(const at::Tensor& x_ND, const DropoutKeys& keys, double probability, at::Tensor& y_ND) {
  run(x_ND, keys, probability, y_ND, false);
}

void add_dropout_backward(const at::Tensor& g_ND, const DropoutKeys& keys, double probability,
                          at::Tensor& sum_ND) {
  run(g_ND, keys, probability, sum_ND, true);
}

namespace plain {

at::Tensor dropout_mask(std::int64_t width, const DropoutKeys& keys, double probability) {
  const auto rows = static_cast<std::int64_t>(keys.row_keys_N.size());
  auto mask = at::empty({rows, width}, at::kBool);
  bool* out = mask.mutable_data_ptr<bool>();
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t column = 0; column < width; ++column) {
      const auto block = column / 32, within = column % 32;
      const auto bits =
          word_bits(static_cast<std::uint32_t>(block * 16 + within % 16), element_key(keys, row));
      out[row * width + column] =
          static_cast<std::int32_t>(within < 16 ? bits & 0xFFFF : bits >> 16) >= threshold_of(probability);
    }
  return mask;
}

}  // namespace plain
}  // namespace anneal
#endif  // HWY_ONCE
