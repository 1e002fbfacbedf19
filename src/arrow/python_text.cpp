#include "arrow/python_text.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <iterator>

namespace anneal {
namespace {

constexpr std::int64_t kSecondsOfDay = 86'400;

std::int64_t floor_div(std::int64_t value, std::int64_t by) {
  return value / by - (value % by != 0 && (value < 0) != (by < 0));
}

std::int64_t nanos_of(std::int64_t fraction, TimeUnit unit) {
  return fraction * (static_cast<std::int64_t>(TimeUnit::kNano) / static_cast<std::int64_t>(unit));
}

// Seconds of a day, and the fraction that Python writes: none, six digits, or, of nanoseconds, nine.
void append_clock(std::string& text, std::int64_t seconds, std::int64_t nanos) {
  fmt::format_to(std::back_inserter(text), "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60,
                 seconds % 60);
  if (nanos % 1000 != 0)
    fmt::format_to(std::back_inserter(text), ".{:09}", nanos);
  else if (nanos != 0)
    fmt::format_to(std::back_inserter(text), ".{:06}", nanos / 1000);
}

}  // namespace

void append_python_bytes(std::string& text, std::string_view bytes) {
  const bool has_single = bytes.find('\'') != bytes.npos, has_double = bytes.find('"') != bytes.npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  text += 'b';
  text += quote;
  for (const unsigned char byte : bytes) {
    if (byte == quote || byte == '\\')
      (text += '\\') += static_cast<char>(byte);
    else if (byte == '\n' || byte == '\r' || byte == '\t')
      text += byte == '\n' ? "\\n" : byte == '\r' ? "\\r" : "\\t";
    else if (byte < 0x20 || byte >= 0x7F)
      fmt::format_to(std::back_inserter(text), "\\x{:02x}", byte);
    else
      text += static_cast<char>(byte);
  }
  text += quote;
}

void append_python_date(std::string& text, std::int64_t days) {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{days}}};
  fmt::format_to(std::back_inserter(text), "{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

void append_python_time(std::string& text, std::int64_t value, TimeUnit unit) {
  const auto ticks = static_cast<std::int64_t>(unit);
  const auto nanos = nanos_of(value % ticks, unit);
  append_clock(text, value / ticks, nanos - nanos % 1000);  // Python's time ends at microseconds
}

void append_python_timestamp(std::string& text, std::int64_t value, TimeUnit unit, bool has_offset,
                             int offset_minutes) {
  const auto ticks = static_cast<std::int64_t>(unit);
  const auto seconds = floor_div(value, ticks) + offset_minutes * 60;
  const auto days = floor_div(seconds, kSecondsOfDay);
  append_python_date(text, days);
  text += ' ';
  append_clock(text, seconds - days * kSecondsOfDay, nanos_of(value - floor_div(value, ticks) * ticks, unit));
  if (has_offset)
    fmt::format_to(std::back_inserter(text), "{}{:02}:{:02}", offset_minutes < 0 ? '-' : '+',
                   std::abs(offset_minutes) / 60, std::abs(offset_minutes) % 60);
}

void append_python_duration(std::string& text, std::int64_t value, TimeUnit unit) {
  const auto ticks = static_cast<std::int64_t>(unit);
  const auto seconds = floor_div(value, ticks);
  const auto days = floor_div(seconds, kSecondsOfDay);
  const auto rest = seconds - days * kSecondsOfDay;
  const auto nanos = nanos_of(value - seconds * ticks, unit);
  if (unit == TimeUnit::kNano) {
    fmt::format_to(std::back_inserter(text), "{} days {}", days, days < 0 ? "+" : "");
    append_clock(text, rest, nanos);
    return;
  }
  if (days != 0) fmt::format_to(std::back_inserter(text), "{} day{}, ", days, std::abs(days) == 1 ? "" : "s");
  fmt::format_to(std::back_inserter(text), "{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
  if (nanos != 0) fmt::format_to(std::back_inserter(text), ".{:06}", nanos / 1000);
}

}  // namespace anneal
