#include "formats/utf8.h"

#include <gtest/gtest.h>

namespace anneal {
namespace {

// Oracle: table 3-7 of the Unicode standard, by hand.
TEST(Utf8, FindsTheFirstInvalidByte) {
  EXPECT_EQ(find_invalid_utf8("plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"), std::string_view::npos);
  EXPECT_EQ(find_invalid_utf8(""), std::string_view::npos);
  EXPECT_EQ(find_invalid_utf8("ab\xFF"), 2u);
  EXPECT_EQ(find_invalid_utf8("a\xC0\x80"), 1u);             // overlong
  EXPECT_EQ(find_invalid_utf8("\xE0\x9F\xBF"), 0u);          // overlong
  EXPECT_EQ(find_invalid_utf8("xy\xED\xA0\x80"), 2u);        // surrogate
  EXPECT_EQ(find_invalid_utf8("\xF4\x90\x80\x80"), 0u);      // above U+10FFFF
  EXPECT_EQ(find_invalid_utf8("\xC3\xA9\xE2\x82"), 2u);      // cut off
  EXPECT_EQ(find_invalid_utf8("\xF0\x9F\x98\x80\x80"), 4u);  // a continuation too many
}

// Oracle: Python's chr(c).encode().
TEST(Utf8, EncodesCodePoints) {
  const auto encoded = [](std::uint32_t code_point) {
    std::string text;
    append_utf8(text, code_point);
    return text;
  };
  EXPECT_EQ(encoded(0x41), "A");
  EXPECT_EQ(encoded(0xE9), "\xC3\xA9");
  EXPECT_EQ(encoded(0x20AC), "\xE2\x82\xAC");
  EXPECT_EQ(encoded(0x1F600), "\xF0\x9F\x98\x80");
}

// Oracle: by hand.
TEST(Utf8, PrefixKeepsCharactersWhole) {
  EXPECT_EQ(utf8_prefix("a\xE2\x82\xACz", 3), "a");
  EXPECT_EQ(utf8_prefix("a\xE2\x82\xACz", 4), "a\xE2\x82\xAC");
  EXPECT_EQ(utf8_prefix("abc", 10), "abc");
}

}  // namespace
}  // namespace anneal
