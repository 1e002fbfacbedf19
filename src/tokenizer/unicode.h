// UTF-8 and the character classes of the pinned tokenizers library (unicode_tables.inc). Normal forms:
// normal_forms.h.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/utf8.h"

namespace anneal {

enum Category : std::uint8_t {  // general categories, as the library's regex engine has them
  kCn,
  kCc,
  kCf,
  kCo,
  kLl,
  kLm,
  kLo,
  kLt,
  kLu,
  kMc,
  kMe,
  kMn,
  kNd,
  kNl,
  kNo,
  kPc,
  kPd,
  kPe,
  kPf,
  kPi,
  kPo,
  kPs,
  kSc,
  kSk,
  kSm,
  kSo,
  kZl,
  kZp,
  kZs,
};

// "Regex" is what the library's patterns see, "char" what its other parts see: they follow different
// versions.
enum CodePointFlag : std::uint16_t {
  kLetterFlag = 1,         // \p{L} of patterns
  kNumberFlag = 2,         // \p{N}
  kMarkFlag = 4,           // \p{M}
  kRegexSpaceFlag = 8,     // \s
  kRegexWordFlag = 16,     // \w of patterns, inside of [...]
  kCharSpaceFlag = 32,     // whitespace of strip flags and normalizers
  kCharWordFlag = 64,      // neighbours that forbid a single_word token
  kCharNumericFlag = 128,  // the Digits pre-tokenizer
  kNonspacingMarkFlag = 256,
  kBertRemovedFlag = 512,      // what BertNormalizer drops
  kBertIdeographFlag = 1024,   // what it puts spaces around
  kBertAccentFlag = 2048,      // what it strips as an accent: fewer than StripAccents does
  kBertPunctuationFlag = 4096  // words of their own for BertPreTokenizer
};

inline constexpr char32_t kCodePoints = 0x110000;

// kCodePoints entries each; made at first use, valid for the life of the process.
const std::uint16_t* code_point_flags();
const std::uint8_t* code_point_categories();

// The lower-case form of one code point, alone; itself where there is none.
std::u32string_view lowercase_of(const char32_t& code_point);

// Sorted, disjoint, inclusive ranges.
struct CodePointRange {
  char32_t first, last;
  bool operator==(const CodePointRange&) const = default;
};
using CodePointSet = std::vector<CodePointRange>;

CodePointSet unite(const CodePointSet& a, const CodePointSet& b);
CodePointSet complement(const CodePointSet& set);
CodePointSet intersect(const CodePointSet& a, const CodePointSet& b);
CodePointSet regex_word_set(bool in_brackets);  // \w, which means less inside of [...] than outside
CodePointSet flagged(std::uint16_t flags);      // code points that have any of the flags
// A category ("Lu", "L") or script ("Han"); an empty set where the name is not known.
CodePointSet property_set(std::string_view name);

bool is_valid_utf8(std::string_view text);

inline int utf8_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// Reads the code point at `text[at]` of valid UTF-8 and moves `at` past it.
inline char32_t next_code_point(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(text[i])); };
  const char32_t lead = byte(at);
  if (lead < 0x80) return ++at, lead;
  if (lead < 0xE0) return at += 2, (lead & 0x1F) << 6 | (byte(at - 1) & 0x3F);
  if (lead < 0xF0) return at += 3, (lead & 0x0F) << 12 | (byte(at - 2) & 0x3F) << 6 | (byte(at - 1) & 0x3F);
  at += 4;
  return (lead & 0x07) << 18 | (byte(at - 3) & 0x3F) << 12 | (byte(at - 2) & 0x3F) << 6 |
         (byte(at - 1) & 0x3F);
}

// Start of the code point that ends before `at`; at > 0.
inline std::size_t previous_start(std::string_view text, std::size_t at) {
  do --at;
  while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

std::string to_utf8(std::u32string_view code_points);
std::u32string to_code_points(std::string_view text);  // of valid UTF-8

}  // namespace anneal
