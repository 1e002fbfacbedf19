#pragma once
#include <chrono>

namespace anneal {

// Seconds since 1970, for people; durations are measured with a steady clock.
inline double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace anneal
