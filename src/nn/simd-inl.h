// Loads and stores that make a kernel independent of the element type: everything is float in registers,
// float or bfloat16 in memory. Included once for each SIMD target (no include guard, see Highway's manual).
#include <hwy/highway.h>

#if defined(ANNEAL_NN_SIMD_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNEAL_NN_SIMD_INL
#undef ANNEAL_NN_SIMD_INL
#else
#define ANNEAL_NN_SIMD_INL
#endif

#include <c10/util/BFloat16.h>

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;

HWY_INLINE FloatVec load(const float* from) { return hn::LoadU(FloatTag(), from); }

HWY_INLINE FloatVec load(const c10::BFloat16* from) {
  const hn::RebindToUnsigned<FloatTag> u32;
  const hn::Rebind<std::uint16_t, FloatTag> u16;
  const auto bits = hn::PromoteTo(u32, hn::LoadU(u16, reinterpret_cast<const std::uint16_t*>(from)));
  return hn::BitCast(FloatTag(), hn::ShiftLeft<16>(bits));
}

HWY_INLINE void store(FloatVec value, float* to) { hn::StoreU(value, FloatTag(), to); }

// Rounds to nearest, ties to even; a NaN stays a NaN.
HWY_INLINE void store(FloatVec value, c10::BFloat16* to) {
  const hn::RebindToUnsigned<FloatTag> u32;
  const hn::RebindToSigned<FloatTag> i32;
  const hn::Rebind<std::uint16_t, FloatTag> u16;
  const auto bits = hn::BitCast(u32, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(u32, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(u32, 0x7FFF))));
  const auto nan = hn::Set(u32, 0x7FC0);
  const auto chosen = hn::IfThenElse(hn::RebindMask(u32, hn::IsNaN(value)), nan, rounded);
  hn::StoreU(hn::DemoteTo(u16, hn::BitCast(i32, chosen)), u16, reinterpret_cast<std::uint16_t*>(to));
}

// The same for the last, partial vector of a row: lanes from `count` on read as zero and are not written.
template <class T>
HWY_INLINE FloatVec load(const T* from, std::size_t count) {
  if (count >= hn::Lanes(FloatTag())) return load(from);
  alignas(64) T padded[hn::MaxLanes(FloatTag())] = {};
  for (std::size_t lane = 0; lane < count; ++lane) padded[lane] = from[lane];
  return load(padded);
}

template <class T>
HWY_INLINE void store(FloatVec value, T* to, std::size_t count) {
  if (count >= hn::Lanes(FloatTag())) return store(value, to);
  alignas(64) T padded[hn::MaxLanes(FloatTag())];
  store(value, padded);
  for (std::size_t lane = 0; lane < count; ++lane) to[lane] = padded[lane];
}

// Calls body(begin, count) over [0, size) in whole vectors and one partial one.
template <class Body>
HWY_INLINE void for_each_vector(std::size_t size, const Body& body) {
  const std::size_t lanes = hn::Lanes(FloatTag());
  std::size_t begin = 0;
  for (; begin + lanes <= size; begin += lanes) body(begin, lanes);
  if (begin < size) body(begin, size - begin);
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
