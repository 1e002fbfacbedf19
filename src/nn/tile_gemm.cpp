#include "nn/tile_gemm.h"

#include <ATen/native/CPUBlas.h>

#include <exception>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/tile_gemm.cpp"
#include <hwy/foreach_target.h>

#include "nn/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

// The sum over k of a[k] * b[k][n] for one vector of columns, in the order of k.
HWY_INLINE FloatVec dot_columns(const float* a, const float* packed_b, std::int64_t k_size,
                                std::int64_t n_size, FloatVec sum) {
  for (std::int64_t k = 0; k < k_size; ++k)
    sum = hn::MulAdd(hn::Set(FloatTag(), a[k]), load(packed_b + k * n_size), sum);
  return sum;
}

HWY_INLINE FloatVec dot_columns(const c10::BFloat16* a, const c10::BFloat16* packed_b, std::int64_t k_size,
                                std::int64_t n_size, FloatVec sum) {
  const hn::RebindToUnsigned<FloatTag> u32;
  for (std::int64_t k = 0; k < k_size; k += 2) {
    const auto pairs = hn::LoadU(u32, reinterpret_cast<const std::uint32_t*>(packed_b + k * n_size));
    const auto even = hn::BitCast(FloatTag(), hn::ShiftLeft<16>(pairs));
    const auto odd = hn::BitCast(FloatTag(), hn::And(pairs, hn::Set(u32, 0xFFFF0000U)));
    sum = hn::MulAdd(hn::Set(FloatTag(), static_cast<float>(a[k])), even, sum);
    sum = hn::MulAdd(hn::Set(FloatTag(), static_cast<float>(a[k + 1])), odd, sum);
  }
  return sum;
}

template <class T>
void portable_gemm(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda,
                   const T* packed_b, float* c, std::int64_t ldc, bool accumulate) {
  constexpr std::int64_t pair = kPackedPair<T>;
  const std::int64_t lanes = hn::Lanes(FloatTag());
  for (std::int64_t row = 0; row < m; ++row) {
    float* out = c + row * ldc;
    std::int64_t column = 0;
    for (; column + lanes <= n; column += lanes) {
      const auto initial = accumulate ? load(out + column) : hn::Zero(FloatTag());
      store(dot_columns(a + row * lda, packed_b + pair * column, k, n, initial), out + column);
    }
    for (; column < n; ++column) {
      float sum = accumulate ? out[column] : 0;
      for (std::int64_t inner = 0; inner < k; ++inner)
        sum += static_cast<float>(a[row * lda + inner]) *
               static_cast<float>(packed_b[packed_index<T>(inner, column, n)]);
      out[column] = sum;
    }
  }
}

void portable_gemm_float(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                         const float* packed_b, float* c, std::int64_t ldc, bool accumulate) {
  portable_gemm(m, n, k, a, lda, packed_b, c, ldc, accumulate);
}

void portable_gemm_bfloat16(std::int64_t m, std::int64_t n, std::int64_t k, const c10::BFloat16* a,
                            std::int64_t lda, const c10::BFloat16* packed_b, float* c, std::int64_t ldc,
                            bool accumulate) {
  portable_gemm(m, n, k, a, lda, packed_b, c, ldc, accumulate);
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anneal {
namespace {

HWY_EXPORT(portable_gemm_float);
HWY_EXPORT(portable_gemm_bfloat16);

template <class T>
void processor_gemm(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda,
                    const T* packed_b, float* c, std::int64_t ldc, bool accumulate) {
  at::native::cpublas::brgemm(m, n, k, lda, n, ldc, accumulate, a, packed_b, c, kPackedPair<T> == 2);
}

template <class T>
bool processor_gemm_works() {
  try {
    std::vector<T> a(kTile * kTile), b(kTile * kTile);
    std::vector<float> c(kTile * kTile);
    processor_gemm(kTile, kTile, kTile, a.data(), kTile, b.data(), c.data(), kTile, false);
    release_tiles();
    return true;
  } catch (const std::exception&) {  // the processor lacks the instructions
    return false;
  }
}

}  // namespace

void release_tiles() { at::native::cpublas::brgemm_release(); }

template <class T>
bool has_fast_tile_gemm() {
  static const bool works = processor_gemm_works<T>();
  return works;
}

namespace portable {

template <>
void tile_gemm(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
               const float* packed_b, float* c, std::int64_t ldc, bool accumulate) {
  HWY_DYNAMIC_DISPATCH(portable_gemm_float)(m, n, k, a, lda, packed_b, c, ldc, accumulate);
}

template <>
void tile_gemm(std::int64_t m, std::int64_t n, std::int64_t k, const c10::BFloat16* a, std::int64_t lda,
               const c10::BFloat16* packed_b, float* c, std::int64_t ldc, bool accumulate) {
  HWY_DYNAMIC_DISPATCH(portable_gemm_bfloat16)(m, n, k, a, lda, packed_b, c, ldc, accumulate);
}

}  // namespace portable

template <class T>
void tile_gemm(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda,
               const T* packed_b, float* c, std::int64_t ldc, bool accumulate) {
  if (has_fast_tile_gemm<T>())
    processor_gemm(m, n, k, a, lda, packed_b, c, ldc, accumulate);
  else
    portable::tile_gemm(m, n, k, a, lda, packed_b, c, ldc, accumulate);
}

template bool has_fast_tile_gemm<float>();
template bool has_fast_tile_gemm<c10::BFloat16>();
template void tile_gemm(std::int64_t, std::int64_t, std::int64_t, const float*, std::int64_t, const float*,
                        float*, std::int64_t, bool);
template void tile_gemm(std::int64_t, std::int64_t, std::int64_t, const c10::BFloat16*, std::int64_t,
                        const c10::BFloat16*, float*, std::int64_t, bool);

}  // namespace anneal
#endif  // HWY_ONCE
