#include "formats/tfevents.h"

#include <array>
#include <bit>
#include <cstring>

namespace anneal {
namespace {

// Field numbers of event.proto, summary.proto and tensor.proto.
constexpr int kEventWallTime = 1, kEventStep = 2, kEventFileVersion = 3, kEventSummary = 5,
              kEventSessionLog = 7;
constexpr int kSessionStatus = 1;
constexpr int kSessionStart = 1;
constexpr int kSummaryValue = 1;
constexpr int kValueTag = 1, kValueSimple = 2, kValueTensor = 8, kValueMetadata = 9;
constexpr int kMetadataPlugin = 1, kPluginName = 1;
constexpr int kTensorType = 1, kTensorShape = 2, kTensorString = 8, kShapeSize = 2, kSizeValue = 1;
constexpr int kTypeString = 7;

// Protocol buffers' wire types.
constexpr int kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

template <class Value>
std::string little_endian(Value value) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

std::string key(int field, int wire_type) {
  return varint(static_cast<std::uint64_t>(field) << 3 | wire_type);
}
std::string number(int field, std::int64_t value) {
  return key(field, kVarint) + varint(static_cast<std::uint64_t>(value));
}
std::string message(int field, std::string_view bytes) {
  return key(field, kBytes) + varint(bytes.size()) + std::string(bytes);
}

std::string framed(std::string_view event) {
  const auto length = little_endian(static_cast<std::uint64_t>(event.size()));
  return length + little_endian(masked_crc32c(length)) + std::string(event) +
         little_endian(masked_crc32c(event));
}

std::string event_at(double wall_time, std::int64_t step) {
  return key(kEventWallTime, kFixed64) + little_endian(wall_time) + number(kEventStep, step);
}

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78U : 0);  // Castagnoli, reflected
    table[byte] = crc;
  }
  return table;
}

}  // namespace

std::uint32_t masked_crc32c(std::string_view bytes) {
  static constexpr auto kTable = make_crc_table();
  std::uint32_t crc = ~0U;
  for (const char c : bytes) crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFF] ^ crc >> 8;
  return std::rotr(~crc, 15) + 0xA282EAD8U;
}

std::string file_version_record(double wall_time) {
  return framed(event_at(wall_time, 0) + message(kEventFileVersion, "brain.Event:2"));
}

std::string session_start_record(double wall_time, std::int64_t step) {
  return framed(event_at(wall_time, step) + message(kEventSessionLog, number(kSessionStatus, kSessionStart)));
}

std::string scalars_record(double wall_time, std::int64_t step,
                           const std::vector<std::pair<std::string, float>>& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars)
    summary +=
        message(kSummaryValue, message(kValueTag, tag) + key(kValueSimple, kFixed32) + little_endian(value));
  return framed(event_at(wall_time, step) + message(kEventSummary, summary));
}

std::string text_record(double wall_time, const std::string& tag, std::string_view text) {
  const auto shape = message(kShapeSize, number(kSizeValue, 1));
  const auto tensor =
      number(kTensorType, kTypeString) + message(kTensorShape, shape) + message(kTensorString, text);
  const auto metadata = message(kMetadataPlugin, message(kPluginName, "text"));
  const auto value = message(kValueTag, tag + "/text_summary") + message(kValueTensor, tensor) +
                     message(kValueMetadata, metadata);
  return framed(event_at(wall_time, 0) + message(kEventSummary, message(kSummaryValue, value)));
}

}  // namespace anneal
