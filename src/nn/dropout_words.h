// How the bits of dropout lie: what its kernels and its plain form share.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/random.h"
#include "nn/dropout.h"

namespace anneal {

// In each block of 32 elements, word w of 16 decides element w with its low half and element w + 16 with its
// high half: whole vectors of any length up to 16 lanes then need no shuffles.
inline constexpr std::size_t kWordsPerBlock = 16;
constexpr std::size_t first_element(std::size_t word) {
  return word / kWordsPerBlock * 2 * kWordsPerBlock + word % kWordsPerBlock;
}

// A 32-bit mixer of two multiplications with the key's second half put in between. The constants are those of
// Wellons' low-bias search ("hash-prospector").
inline constexpr std::uint32_t kFirstFactor = 0x7FEB352DU, kSecondFactor = 0x846CA68BU;

inline std::uint64_t element_key(const DropoutKeys& keys, std::int64_t row) {
  return mix(static_cast<std::uint64_t>(keys.row_keys_N.const_data_ptr<std::int64_t>()[row]),
             keys.module_key);
}

// An element is dropped where its 16 bits are below.
inline std::int32_t drop_threshold(double probability) {
  return static_cast<std::int32_t>(std::lround(probability * 65536));
}

}  // namespace anneal
