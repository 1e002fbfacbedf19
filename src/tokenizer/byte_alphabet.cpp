#include "tokenizer/byte_alphabet.h"

#include "tokenizer/unicode.h"

namespace anneal {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// The bytes that are not printable in Latin-1 take the code points from 256 on, in order.
constexpr std::array<char32_t, 256> make_alphabet() {
  std::array<char32_t, 256> characters{};
  char32_t next = 256;
  for (int byte = 0; byte < 256; ++byte)
    characters[byte] = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
  return characters;
}

constexpr std::array<char32_t, 256> kAlphabet = make_alphabet();

constexpr std::array<std::int16_t, 324> make_inverse() {
  std::array<std::int16_t, 324> bytes{};
  bytes.fill(-1);
  for (int byte = 0; byte < 256; ++byte) bytes[kAlphabet[byte]] = static_cast<std::int16_t>(byte);
  return bytes;
}

constexpr std::array<std::int16_t, 324> kInverse = make_inverse();

}  // namespace

const std::array<char32_t, 256>& byte_alphabet() { return kAlphabet; }

int byte_of_character(char32_t character) { return character < kInverse.size() ? kInverse[character] : -1; }

std::string bytes_to_characters(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char byte : bytes) append_utf8(out, kAlphabet[static_cast<unsigned char>(byte)]);
  return out;
}

bool append_bytes_of_characters(std::string_view characters, std::string& bytes) {
  const std::size_t before = bytes.size();
  for (std::size_t at = 0; at < characters.size();) {
    const int byte = byte_of_character(next_code_point(characters, at));
    if (byte < 0) {
      bytes.resize(before);
      return false;
    }
    bytes.push_back(static_cast<char>(byte));
  }
  return true;
}

}  // namespace anneal
