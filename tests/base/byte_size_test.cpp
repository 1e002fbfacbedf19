#include "base/byte_size.h"

#include <gtest/gtest.h>

namespace anneal {
namespace {

// Oracle: huggingface_hub's parse_size_to_int, by hand.
TEST(ByteSize, Parses) {
  EXPECT_EQ(parse_byte_size("5GB"), 5'000'000'000);
  EXPECT_EQ(parse_byte_size("200kb"), 200'000);
  EXPECT_EQ(parse_byte_size("1.5 MB"), 1'500'000);
  EXPECT_EQ(parse_byte_size("2GiB"), std::int64_t{1} << 31);
  EXPECT_EQ(parse_byte_size("4096"), 4096);
  for (const char* wrong :
       {"", "GB", "five", "5 apples", "0", "0.4", "-1GB", "1.2.3", "9999999999TB", "5GB2"})
    EXPECT_EQ(parse_byte_size(wrong), std::nullopt) << wrong;
}

// Oracle: by hand.
TEST(ByteSize, Prints) {
  EXPECT_EQ(byte_size_text(16'381'470'720), "16.38 GB");
  EXPECT_EQ(byte_size_text(1500), "1.50 KB");
  EXPECT_EQ(byte_size_text(12), "12 bytes");
}

}  // namespace
}  // namespace anneal
