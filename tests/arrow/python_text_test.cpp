#include "arrow/python_text.h"

#include <gtest/gtest.h>

namespace anneal {
namespace {

template <class Append, class... Values>
std::string text_of(const Append& append, Values... values) {
  std::string text;
  append(text, values...);
  return text;
}

// Oracle: str() of Python's bytes, datetime.date, time, datetime, timedelta and pandas.Timedelta, by hand.
TEST(PythonText, BytesShowWhatIsNoText) {
  const auto bytes = [](std::string_view value) { return text_of(append_python_bytes, value); };
  EXPECT_EQ(bytes("a\\\n\t\r\x01\xE9"), R"(b'a\\\n\t\r\x01\xe9')");
  EXPECT_EQ(bytes("it's"), R"(b"it's")");
  EXPECT_EQ(bytes("it's \"so\""), R"(b'it\'s "so"')");
}

TEST(PythonText, TimesHaveTheFractionThatTheyNeed) {
  EXPECT_EQ(text_of(append_python_date, 0), "1970-01-01");
  EXPECT_EQ(text_of(append_python_date, -719162), "0001-01-01");
  EXPECT_EQ(text_of(append_python_time, 86399000, TimeUnit::kMilli), "23:59:59");
  EXPECT_EQ(text_of(append_python_time, 1'000'001'999, TimeUnit::kNano), "00:00:01.000001");
  const auto stamp = [](std::int64_t value, TimeUnit unit) {
    return text_of(append_python_timestamp, value, unit, false, 0);
  };
  EXPECT_EQ(stamp(-1, TimeUnit::kSecond), "1969-12-31 23:59:59");
  EXPECT_EQ(stamp(-1, TimeUnit::kMicro), "1969-12-31 23:59:59.999999");
  EXPECT_EQ(stamp(1'500'000'000, TimeUnit::kNano), "1970-01-01 00:00:01.500000");
  EXPECT_EQ(stamp(1, TimeUnit::kNano), "1970-01-01 00:00:00.000000001");
  EXPECT_EQ(text_of(append_python_timestamp, 0, TimeUnit::kSecond, true, -330), "1969-12-31 18:30:00-05:30");
  EXPECT_EQ(text_of(append_python_timestamp, 0, TimeUnit::kSecond, true, 0), "1970-01-01 00:00:00+00:00");
}

TEST(PythonText, DurationsCountDays) {
  EXPECT_EQ(text_of(append_python_duration, 5, TimeUnit::kSecond), "0:00:05");
  EXPECT_EQ(text_of(append_python_duration, 90061, TimeUnit::kSecond), "1 day, 1:01:01");
  EXPECT_EQ(text_of(append_python_duration, -1, TimeUnit::kMilli), "-1 day, 23:59:59.999000");
  EXPECT_EQ(text_of(append_python_duration, 1, TimeUnit::kNano), "0 days 00:00:00.000000001");
  EXPECT_EQ(text_of(append_python_duration, -1'000, TimeUnit::kNano), "-1 days +23:59:59.999999");
}

}  // namespace
}  // namespace anneal
