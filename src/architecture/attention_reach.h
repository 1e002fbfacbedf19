// How far attention reaches.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>

namespace anneal {

// Which tokens of its segment a token attends to: the `window` tokens that end with itself, or all of them.
// Backward is causal only.
struct AttentionReach {
  static constexpr std::int64_t kNoWindow = std::numeric_limits<std::int64_t>::max();
  std::int64_t window = kNoWindow;
  bool is_causal = true;

  std::int64_t first_key(std::int64_t token) const {
    return is_causal ? std::max<std::int64_t>(0, token - window + 1) : 0;
  }
  std::int64_t key_end(std::int64_t token, std::int64_t length) const {
    return is_causal ? token + 1 : length;
  }
};
inline constexpr AttentionReach kReachesAll{.is_causal = false};

}  // namespace anneal
