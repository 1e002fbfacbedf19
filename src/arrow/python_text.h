// Values as Python's str() writes them, so that a template gives the same text as with the `datasets`
// library.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace anneal {

enum class TimeUnit : std::int64_t { kSecond = 1, kMilli = 1'000, kMicro = 1'000'000, kNano = 1'000'000'000 };

void append_python_bytes(std::string& text, std::string_view bytes);  // b'..'
void append_python_date(std::string& text, std::int64_t days);        // since 1970
void append_python_time(std::string& text, std::int64_t value, TimeUnit unit);
// `offset_minutes` of a time zone is written only where `has_offset`.
void append_python_timestamp(std::string& text, std::int64_t value, TimeUnit unit, bool has_offset,
                             int offset_minutes);
// datetime.timedelta, and pandas.Timedelta for nanoseconds.
void append_python_duration(std::string& text, std::int64_t value, TimeUnit unit);

}  // namespace anneal
