#include "tokenizer/word_splitter.h"

#include <string>

#include "tokenizer/unicode.h"

namespace anneal {
namespace {

constexpr std::uint16_t kLettersAndMarks = kLetterFlag | kMarkFlag;
constexpr char32_t kLongS = 0x17F;  // equals s where case is ignored

bool is_newline(char c) { return c == '\n' || c == '\r'; }

// Length of a contraction after an apostrophe at `at`, apostrophe included; 0 where there is none.
std::size_t contraction_length(std::string_view text, std::size_t at, bool ignore_case) {
  const auto letter = [&](std::size_t i) -> char {
    if (i >= text.size()) return 0;
    const char c = text[i];
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  };
  const char first = letter(at + 1), second = letter(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l'))
    return 3;
  if (ignore_case && static_cast<unsigned char>(first) >= 0x80) {
    std::size_t end = at + 1;
    if (next_code_point(text, end) == kLongS) return end - at;
  }
  return 0;
}

// The modern pattern with its variable parts: contractions, the class of words beside \p{N}, the digits.
std::string modern_pattern(std::string_view words, std::string_view excluded, std::string_view digits) {
  std::string out = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?)";
  out.append(words).append("+|").append(digits).append(R"(| ?[^\s)").append(excluded);
  return out + R"(]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}

constexpr std::string_view kCl100kPattern =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";

}  // namespace

WordSplitter::WordSplitter(bool is_gpt2, std::uint16_t word_flags, int max_digits)
    : flags_(code_point_flags()), is_gpt2_(is_gpt2), word_flags_(word_flags), max_digits_(max_digits) {}

std::optional<WordSplitter> WordSplitter::for_pattern(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return WordSplitter(true, kLetterFlag, 0);
  if (pattern == kCl100kPattern) return WordSplitter(false, kLetterFlag, 3);
  constexpr std::pair<std::string_view, int> kDigits[] = {
      {R"(\p{N})", 1}, {R"(\p{N}{1,3})", 3}, {R"(\p{N}+)", 0}};
  for (const auto& [digits, most] : kDigits) {
    if (pattern == modern_pattern(R"(\p{L})", R"(\p{L}\p{N})", digits))
      return WordSplitter(false, kLetterFlag, most);
    if (pattern == modern_pattern(R"([\p{L}\p{M}])", R"(\p{L}\p{M}\p{N})", digits))
      return WordSplitter(false, kLettersAndMarks, most);
  }
  return std::nullopt;
}

std::size_t WordSplitter::skip(std::string_view text, std::size_t at, std::uint16_t flags) const {
  while (at < text.size()) {
    std::size_t next = at;
    if (!(flags_[next_code_point(text, next)] & flags)) break;
    at = next;
  }
  return at;
}

std::size_t WordSplitter::skip_symbols(std::string_view text, std::size_t at) const {
  while (at < text.size()) {
    std::size_t next = at;
    if (flags_[next_code_point(text, next)] & (word_flags_ | kNumberFlag | kRegexSpaceFlag)) break;
    at = next;
  }
  return at;
}

std::size_t WordSplitter::digits_end(std::string_view text, std::size_t at) const {
  if (max_digits_ == 0) return skip(text, at, kNumberFlag);
  for (int digit = 0; digit < max_digits_ && at < text.size(); ++digit) {
    std::size_t next = at;
    if (!(flags_[next_code_point(text, next)] & kNumberFlag)) break;
    at = next;
  }
  return at;
}

// A run of white space gives its last character to the word behind it, unless it is the only one.
std::size_t WordSplitter::space_end(std::string_view text, std::size_t at, bool newlines_end_words) const {
  const std::size_t end = skip(text, at, kRegexSpaceFlag);
  if (newlines_end_words)
    for (std::size_t i = end; i > at; --i)
      if (is_newline(text[i - 1])) return i;
  if (end == text.size()) return end;
  const std::size_t last = previous_start(text, end);
  return last > at ? last : end;
}

std::size_t WordSplitter::gpt2_word_end(std::string_view text, std::size_t at) const {
  if (text[at] == '\'')
    if (const std::size_t length = contraction_length(text, at, false)) return at + length;
  std::size_t begin = at;
  if (text[at] == ' ' && at + 1 < text.size()) begin = at + 1;
  std::size_t next = begin;
  const auto flags = flags_[next_code_point(text, next)];
  if (flags & kLetterFlag) return skip(text, next, kLetterFlag);
  if (flags & kNumberFlag) return skip(text, next, kNumberFlag);
  if (!(flags & kRegexSpaceFlag)) return skip_symbols(text, next);
  return space_end(text, at, false);
}

std::size_t WordSplitter::modern_word_end(std::string_view text, std::size_t at) const {
  if (text[at] == '\'')
    if (const std::size_t length = contraction_length(text, at, true)) return at + length;
  std::size_t next = at;
  const auto flags = flags_[next_code_point(text, next)];
  if (flags & word_flags_) return skip(text, next, word_flags_);
  if (flags & kNumberFlag) return digits_end(text, at);
  if (next < text.size() && !is_newline(text[at])) {
    std::size_t second = next;
    const auto second_flags = flags_[next_code_point(text, second)];
    if (second_flags & word_flags_) return skip(text, second, word_flags_);
    const bool is_symbol = !(second_flags & (kNumberFlag | kRegexSpaceFlag));
    if (text[at] == ' ' && is_symbol) next = second;
  }
  if ((flags & kRegexSpaceFlag) && next == at + static_cast<std::size_t>(utf8_length(text[at])))
    return space_end(text, at, true);
  std::size_t end = skip_symbols(text, next);
  while (end < text.size() && is_newline(text[end])) ++end;
  return end;
}

}  // namespace anneal
