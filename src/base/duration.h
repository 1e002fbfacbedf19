// Times for people.
#pragma once
#include <cstdint>
#include <string>

namespace anneal {

// "7s", "2m03s", "1h05m"
inline std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  const auto two = [](std::int64_t number) { return (number < 10 ? "0" : "") + std::to_string(number); };
  if (whole >= 3600) return std::to_string(whole / 3600) + "h" + two(whole / 60 % 60) + "m";
  return whole >= 60 ? std::to_string(whole / 60) + "m" + two(whole % 60) + "s" : std::to_string(whole) + "s";
}

}  // namespace anneal
