// UTF-8 as in RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace anneal {

// The offset of the first byte that begins no valid character; npos where all is valid.
std::size_t find_invalid_utf8(std::string_view text);

void append_utf8(std::string& text, std::uint32_t code_point);

// The longest prefix of at most `max_bytes` that does not cut a character.
std::string_view utf8_prefix(std::string_view text, std::size_t max_bytes);

}  // namespace anneal
