#include "formats/tfevents.h"

#include <gtest/gtest.h>

namespace anneal {
namespace {

std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) text += {kDigits[byte >> 4], kDigits[byte & 15]};
  return text;
}

// Oracle: the check value of CRC-32C (0xE3069283 for "123456789"), masked by hand.
TEST(TfEvents, ChecksumOfTheStandard) {
  constexpr std::uint32_t crc = 0xE3069283U;
  EXPECT_EQ(masked_crc32c("123456789"), (crc >> 15 | crc << 17) + 0xA282EAD8U);
}

// Oracle: bytes by hand from the definitions of the messages; the checksums from the test above.
TEST(TfEvents, ScalarByHand) {
  const auto record = scalars_record(1.5, 300, {{"train/loss", 0.25F}});
  const std::string event =
      "09000000000000f83f"  // wall_time, a double
      "10ac02"              // step
      "2a13"                // summary of 19 bytes
      "0a11"
      "0a0a747261696e2f6c6f7373"
      "150000803e";  // value of 17: tag, simple_value
  ASSERT_EQ(record.size(), 8 + 4 + event.size() / 2 + 4);
  EXPECT_EQ(hex(record.substr(0, 8)), "2100000000000000");
  EXPECT_EQ(hex(record.substr(12, event.size() / 2)), event);
}

// Oracle: bytes by hand.
TEST(TfEvents, SessionStartByHand) {
  const auto record = session_start_record(0.0, 7);
  EXPECT_EQ(hex(record.substr(12, record.size() - 16)),
            "0900000000000000001007"
            "3a020801");
}

}  // namespace
}  // namespace anneal
