#include "base/byte_size.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>

namespace anneal {
namespace {

struct Unit {
  const char* name;
  double bytes;
};
constexpr std::array<Unit, 10> kUnits = {{{"", 1},
                                          {"B", 1},
                                          {"TB", 1e12},
                                          {"GB", 1e9},
                                          {"MB", 1e6},
                                          {"KB", 1e3},
                                          {"TIB", 0x1p40},
                                          {"GIB", 0x1p30},
                                          {"MIB", 0x1p20},
                                          {"KIB", 0x1p10}}};

}  // namespace

std::optional<std::int64_t> parse_byte_size(const std::string& text) {
  const auto digits = text.find_first_not_of("0123456789.");
  const auto number_text = text.substr(0, digits);
  char* end = nullptr;
  const double number = std::strtod(number_text.c_str(), &end);
  if (number_text.empty() || *end != '\0') return std::nullopt;
  std::string unit_text = digits == std::string::npos ? "" : text.substr(digits);
  unit_text.erase(0, unit_text.find_first_not_of(' '));
  for (char& c : unit_text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const auto& [name, unit] : kUnits) {
    if (unit_text != name) continue;
    const double bytes = std::floor(number * unit);
    if (bytes < 1 || bytes > 0x1p62) return std::nullopt;
    return static_cast<std::int64_t>(bytes);
  }
  return std::nullopt;
}

std::string byte_size_text(std::int64_t bytes) {
  for (std::size_t index = 2; index < 6; ++index)
    if (const auto& [name, unit] = kUnits[index]; static_cast<double>(bytes) >= unit)
      return fmt::format("{:.2f} {}", static_cast<double>(bytes) / unit, name);
  return fmt::format("{} bytes", bytes);
}

}  // namespace anneal
