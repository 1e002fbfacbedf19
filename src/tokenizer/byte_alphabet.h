// The 256 printable characters by which byte-level vocabularies write bytes (GPT-2).
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace anneal {

// The character of each byte.
const std::array<char32_t, 256>& byte_alphabet();
// The byte of a character, -1 where the alphabet lacks it.
int byte_of_character(char32_t character);

std::string bytes_to_characters(std::string_view bytes);
// Appends the bytes that `characters` (valid UTF-8) stand for; false, with nothing appended, if one is not in
// the alphabet.
bool append_bytes_of_characters(std::string_view characters, std::string& bytes);

}  // namespace anneal
