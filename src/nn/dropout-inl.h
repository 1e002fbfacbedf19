// Which elements dropout drops, as masks of vectors. Included once for each SIMD target (no include guard,
// see Highway's manual).
#include "nn/simd-inl.h"

#if defined(ANNEAL_NN_DROPOUT_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef ANNEAL_NN_DROPOUT_INL
#undef ANNEAL_NN_DROPOUT_INL
#else
#define ANNEAL_NN_DROPOUT_INL
#endif

#include "nn/dropout_words.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

// Calls body(at, count, keep) for the vectors of the columns [first, first + width) of a row, `at` counted
// from `first`, which is a multiple of 32; keep is the mask of elements that stay.
template <class Body>
HWY_INLINE void for_each_kept(std::uint64_t element_key, std::int32_t threshold, std::size_t first,
                              std::size_t width, const Body& body) {
  const hn::RebindToUnsigned<FloatTag> u32;
  const std::size_t lanes = hn::Lanes(u32);
  const auto low = hn::Set(u32, static_cast<std::uint32_t>(element_key));
  const auto high = hn::Set(u32, static_cast<std::uint32_t>(element_key >> 32));
  const hn::RebindToSigned<FloatTag> i32;  // Highway orders signed lanes only; 16 bits fit
  const auto last_dropped = hn::Set(i32, threshold - 1);
  const auto low_half = hn::Set(u32, 0xFFFF);
  const auto keep = [&](auto bits) HWY_ATTR {
    return hn::RebindMask(FloatTag(), hn::Gt(hn::BitCast(i32, bits), last_dropped));
  };
  const std::size_t first_word = first / 2;
  for (std::size_t word = first_word;; word += lanes) {
    const std::size_t at = first_element(word) - first;
    if (at >= width) break;
    auto z = hn::Add(hn::Iota(u32, static_cast<std::uint32_t>(word)), low);
    z = hn::Mul(hn::Xor(z, hn::ShiftRight<16>(z)), hn::Set(u32, kFirstFactor));
    z = hn::Xor(z, high);
    z = hn::Mul(hn::Xor(z, hn::ShiftRight<15>(z)), hn::Set(u32, kSecondFactor));
    z = hn::Xor(z, hn::ShiftRight<16>(z));
    body(at, std::min(lanes, width - at), keep(hn::And(z, low_half)));
    const std::size_t second = at + kWordsPerBlock;
    if (second < width) body(second, std::min(lanes, width - second), keep(hn::ShiftRight<16>(z)));
  }
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
