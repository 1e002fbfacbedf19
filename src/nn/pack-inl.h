// Operands of tile_gemm from matrices as they lie, and transposes. Included once for each SIMD target (no
// include guard, see Highway's manual).
#include "nn/simd-inl.h"

#if defined(ANNEAL_NN_PACK_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNEAL_NN_PACK_INL
#undef ANNEAL_NN_PACK_INL
#else
#define ANNEAL_NN_PACK_INL
#endif

#include <cstring>

#include "nn/tile_gemm.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

using c10::BFloat16;

constexpr std::int64_t kRows = 4, kInner = 8;  // an eighth of a row fills the smallest vectors

#if HWY_TARGET == HWY_SCALAR
HWY_INLINE void transpose_words(const BFloat16* from, std::int64_t stride, std::uint32_t* to,
                                std::int64_t to_stride) {
  for (std::int64_t row = 0; row < kRows; ++row)
    for (std::int64_t pair = 0; pair < kInner / 2; ++pair)
      std::memcpy(to + pair * to_stride + row, from + row * stride + 2 * pair, sizeof(std::uint32_t));
}
#else
using Words = hn::Full128<std::uint32_t>;  // of two elements each

// Four rows of four pairs become four pairs of four rows.
HWY_INLINE void transpose_words(const BFloat16* from, std::int64_t stride, std::uint32_t* to,
                                std::int64_t to_stride) {
  const Words words;
  const hn::Full128<std::uint64_t> twice;
  const auto row = [&](std::int64_t index) HWY_ATTR {
    return hn::LoadU(words, reinterpret_cast<const std::uint32_t*>(from + index * stride));
  };
  const auto a = row(0), b = row(1), c = row(2), d = row(3);
  const auto low_ab = hn::BitCast(twice, hn::InterleaveLower(words, a, b));
  const auto low_cd = hn::BitCast(twice, hn::InterleaveLower(words, c, d));
  const auto high_ab = hn::BitCast(twice, hn::InterleaveUpper(words, a, b));
  const auto high_cd = hn::BitCast(twice, hn::InterleaveUpper(words, c, d));
  const auto put = [&](auto value, std::int64_t pair)
                       HWY_ATTR { hn::StoreU(hn::BitCast(words, value), words, to + pair * to_stride); };
  put(hn::InterleaveLower(twice, low_ab, low_cd), 0);
  put(hn::InterleaveUpper(twice, low_ab, low_cd), 1);
  put(hn::InterleaveLower(twice, high_ab, high_cd), 2);
  put(hn::InterleaveUpper(twice, high_ab, high_cd), 3);
}
#endif

// Eight rows of eight elements become eight columns.
#if HWY_TARGET == HWY_SCALAR
HWY_INLINE void transpose_elements(const BFloat16* from, std::int64_t stride, BFloat16* to,
                                   std::int64_t to_stride) {
  for (std::int64_t row = 0; row < kInner; ++row)
    for (std::int64_t column = 0; column < kInner; ++column)
      to[column * to_stride + row] = from[row * stride + column];
}
#else
HWY_INLINE void transpose_elements(const BFloat16* from, std::int64_t stride, BFloat16* to,
                                   std::int64_t to_stride) {
  const hn::Full128<std::uint16_t> ones;
  const hn::Full128<std::uint32_t> twos;
  const hn::Full128<std::uint64_t> fours;
  hn::Vec<decltype(ones)> rows[kInner];
  for (std::int64_t row = 0; row < kInner; ++row)
    rows[row] = hn::LoadU(ones, reinterpret_cast<const std::uint16_t*>(from + row * stride));
  hn::Vec<decltype(twos)> pairs[kInner];  // [half * 4 + pair of rows]
  for (std::int64_t pair = 0; pair < 4; ++pair) {
    pairs[pair] = hn::BitCast(twos, hn::InterleaveLower(ones, rows[2 * pair], rows[2 * pair + 1]));
    pairs[4 + pair] = hn::BitCast(twos, hn::InterleaveUpper(ones, rows[2 * pair], rows[2 * pair + 1]));
  }
  hn::Vec<decltype(fours)> quads[kInner];  // [quarter * 2 + four of rows]
  for (std::int64_t half = 0; half < 2; ++half)
    for (std::int64_t four = 0; four < 2; ++four) {
      const auto first = pairs[half * 4 + 2 * four], second = pairs[half * 4 + 2 * four + 1];
      quads[half * 4 + four] = hn::BitCast(fours, hn::InterleaveLower(twos, first, second));
      quads[half * 4 + 2 + four] = hn::BitCast(fours, hn::InterleaveUpper(twos, first, second));
    }
  const auto put = [&](auto value, std::int64_t column) HWY_ATTR {
    hn::StoreU(hn::BitCast(ones, value), ones, reinterpret_cast<std::uint16_t*>(to + column * to_stride));
  };
  for (std::int64_t quarter = 0; quarter < 4; ++quarter) {
    put(hn::InterleaveLower(fours, quads[2 * quarter], quads[2 * quarter + 1]), 2 * quarter);
    put(hn::InterleaveUpper(fours, quads[2 * quarter], quads[2 * quarter + 1]), 2 * quarter + 1);
  }
}
#endif

// The right-hand operand [k, n_size] of rows [k, n], which lie `stride` apart. An odd k of bfloat16 is
// followed by zeros.
template <class T>
void pack_rows(const T* rows, std::int64_t stride, std::int64_t k_size, std::int64_t n, std::int64_t n_size,
               T* packed) {
  if constexpr (std::is_same_v<T, float>) {
    for (std::int64_t k = 0; k < k_size; ++k) std::copy_n(rows + k * stride, n, packed + k * n_size);
  } else {
    const hn::RebindToUnsigned<FloatTag> u32;
    const hn::Rebind<std::uint16_t, FloatTag> u16;
    const auto load_words = [&](const BFloat16* from) HWY_ATTR {
      return hn::PromoteTo(u32, hn::LoadU(u16, reinterpret_cast<const std::uint16_t*>(from)));
    };
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(u32)), whole = n / lanes * lanes;
    for (std::int64_t k = 0; k < k_size; k += 2) {
      const BFloat16 *even = rows + k * stride, *odd = k + 1 < k_size ? even + stride : nullptr;
      BFloat16* to = packed + k * n_size;
      for (std::int64_t at = 0; at < whole; at += lanes) {
        auto words = load_words(even + at);
        if (odd) words = hn::Or(words, hn::ShiftLeft<16>(load_words(odd + at)));
        hn::StoreU(words, u32, reinterpret_cast<std::uint32_t*>(to) + at);
      }
      for (std::int64_t at = whole; at < n; ++at) {
        to[2 * at] = even[at];
        to[2 * at + 1] = odd ? odd[at] : BFloat16(0);
      }
    }
  }
}

// The same operand from its transpose, rows [n, k].
template <class T>
void pack_columns(const T* rows, std::int64_t stride, std::int64_t n, std::int64_t k_size,
                  std::int64_t n_size, T* packed) {
  std::int64_t whole_rows = 0, whole_inner = 0;
  if constexpr (std::is_same_v<T, BFloat16>) {
    whole_rows = n / kRows * kRows;
    whole_inner = k_size / kInner * kInner;
    for (std::int64_t row = 0; row < whole_rows; row += kRows)
      for (std::int64_t k = 0; k < whole_inner; k += kInner)
        transpose_words(rows + row * stride + k, stride,
                        reinterpret_cast<std::uint32_t*>(packed) + k / 2 * n_size + row, n_size);
  }
  for (std::int64_t row = 0; row < n; ++row)
    for (std::int64_t k = row < whole_rows ? whole_inner : 0; k < k_size; ++k)
      packed[packed_index<T>(k, row, n_size)] = rows[row * stride + k];
}

// to [columns, rows] = the transpose of from [rows, columns].
template <class T>
void transpose(const T* from, std::int64_t stride, std::int64_t rows, std::int64_t columns, T* to,
               std::int64_t to_stride) {
  std::int64_t whole_rows = 0, whole_columns = 0;
  if constexpr (std::is_same_v<T, BFloat16>) {
    whole_rows = rows / kInner * kInner;
    whole_columns = columns / kInner * kInner;
    for (std::int64_t row = 0; row < whole_rows; row += kInner)
      for (std::int64_t column = 0; column < whole_columns; column += kInner)
        transpose_elements(from + row * stride + column, stride, to + column * to_stride + row, to_stride);
  }
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t column = row < whole_rows ? whole_columns : 0; column < columns; ++column)
      to[column * to_stride + row] = from[row * stride + column];
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
