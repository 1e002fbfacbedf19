// Counter-based randomness: every value is a pure function of its key, so there is no state to save.
#pragma once
#include <cstdint>
#include <string_view>

namespace anneal {

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
constexpr std::uint64_t splitmix64(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

// A key for (key, part): chains of it address any tuple.
constexpr std::uint64_t mix(std::uint64_t key, std::uint64_t part) {
  return splitmix64(key + 0x9E3779B97F4A7C15ULL * (part + 1));
}

// FNV-1a, for keys made of names.
constexpr std::uint64_t hash_name(std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  return hash;
}

// Uniform in [0, 1), 53 bits.
constexpr double to_unit_interval(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

}  // namespace anneal
