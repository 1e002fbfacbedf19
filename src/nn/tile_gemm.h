// Small matrix products on packed right-hand sides: what attention and packed linear layers are made of. A
// row of the result depends on no other row, nor on how many there are, so a batch may be cut anywhere
// without a changed bit.
#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>
#include <type_traits>

namespace anneal {

// Rows of a left-hand side that one product takes; few sizes, as each is compiled once for the processor.
inline constexpr std::int64_t kTile = 64;

// Elements of the inner dimension that lie side by side in a packed operand.
template <class T>
inline constexpr std::int64_t kPackedPair = std::is_same_v<T, float> ? 1 : 2;

// Where element (k, n) of a right-hand side of n_size columns lies in its packed form. k_size is even for
// bfloat16.
template <class T>
constexpr std::int64_t packed_index(std::int64_t k, std::int64_t n, std::int64_t n_size) {
  constexpr auto pair = kPackedPair<T>;
  return (k / pair) * pair * n_size + pair * n + k % pair;
}

// C [m, n] (float32, row length ldc) = or += A [m, k] (row length lda) times packed B [k, n]. Sums in
// float32.
template <class T>
void tile_gemm(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda,
               const T* packed_b, float* c, std::int64_t ldc, bool accumulate);

// To be called by each thread after its last tile_gemm: gives the processor's tile registers back.
void release_tiles();

// True where tile_gemm runs on the processor's own matrix instructions for this type (AVX-512, AMX).
template <class T>
bool has_fast_tile_gemm();

namespace portable {
// The form for processors without them.
template <class T>
void tile_gemm(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda,
               const T* packed_b, float* c, std::int64_t ldc, bool accumulate);
}  // namespace portable

}  // namespace anneal
