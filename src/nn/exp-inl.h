// The exponential of kernels. Highway's own turns a NaN into 0 and is wrong above its range, so that a bad
// value would come out as a good one. Included once for each SIMD target.
#include <hwy/contrib/math/math-inl.h>

#include "nn/simd-inl.h"

#if defined(ANNEAL_NN_EXP_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNEAL_NN_EXP_INL
#undef ANNEAL_NN_EXP_INL
#else
#define ANNEAL_NN_EXP_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

// For all values: infinity above the range of float, NaN for NaN.
HWY_INLINE FloatVec exponential(FloatVec x) {
  constexpr float kHighwayMaximum = 104.0f;
  const auto value = hn::Exp(FloatTag(), hn::Min(x, hn::Set(FloatTag(), kHighwayMaximum)));
  return hn::IfThenElse(hn::IsNaN(x), x, value);
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
