#include "tokenizer/unicode.h"

#include <simdjson.h>

#include <algorithm>
#include <memory>
#include <span>
#include <unordered_map>

#include "tokenizer/unicode_tables.h"

namespace anneal {
namespace {

using namespace unicode_tables;

struct NamedSet {
  std::string_view name;
  std::span<const CodePointRange> ranges;
};

constexpr NamedSet kScripts[] = {
    {"Arabic", kScriptArabic}, {"Cyrillic", kScriptCyrillic}, {"Devanagari", kScriptDevanagari},
    {"Greek", kScriptGreek},   {"Han", kScriptHan},           {"Hangul", kScriptHangul},
    {"Hebrew", kScriptHebrew}, {"Hiragana", kScriptHiragana}, {"Katakana", kScriptKatakana},
    {"Latin", kScriptLatin},   {"Thai", kScriptThai},
};

constexpr std::string_view kCategoryNames[] = {
    "Cn", "Cc", "Cf", "Co", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No",
    "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs",
};

std::uint16_t flags_of(Category category) {
  switch (kCategoryNames[category][0]) {
    case 'L':
      return kLetterFlag;
    case 'N':
      return kNumberFlag;
    case 'M':
      return kMarkFlag;
    default:
      return 0;
  }
}

class Tables {
 public:
  Tables() : flags(kCodePoints, 0), categories(kCodePoints, kCn) {
    for (const auto& range : kCategories)
      for (char32_t c = range.first; c <= range.last; ++c) {
        categories[c] = range.category;
        flags[c] = flags_of(range.category);
      }
    set(kRegexSpace, kRegexSpaceFlag);
    set(kRegexWord, kRegexWordFlag);
    set(kCharWhitespace, kCharSpaceFlag);
    set(kCharWord, kCharWordFlag);
    set(kCharNumeric, kCharNumericFlag);
    set(kNonspacingMark, kNonspacingMarkFlag);
    set(kBertRemoved, kBertRemovedFlag);
    set(kBertIdeograph, kBertIdeographFlag);
    set(kBertAccent, kBertAccentFlag);
    set(kBertPunctuation, kBertPunctuationFlag);
    for_each_sequence(kLowercase, [this](char32_t c, std::u32string_view lower) { lowercase[c] = lower; });
  }

  std::vector<std::uint16_t> flags;
  std::vector<std::uint8_t> categories;
  std::unordered_map<char32_t, std::u32string_view> lowercase;

 private:
  void set(std::span<const CodePointRange> ranges, std::uint16_t flag) {
    for (const auto& range : ranges)
      for (char32_t c = range.first; c <= range.last; ++c) flags[c] |= flag;
  }
};

const Tables& tables() {
  static const Tables made;
  return made;
}

template <class Has>
CodePointSet collect(Has has) {
  CodePointSet set;
  for (char32_t c = 0; c < kCodePoints; ++c) {
    if (!has(c)) continue;
    if (!set.empty() && set.back().last + 1 == c)
      set.back().last = c;
    else
      set.push_back({c, c});
  }
  return set;
}

}  // namespace

const std::uint16_t* code_point_flags() { return tables().flags.data(); }
const std::uint8_t* code_point_categories() { return tables().categories.data(); }

std::u32string_view lowercase_of(const char32_t& code_point) {
  const auto found = tables().lowercase.find(code_point);
  return found == tables().lowercase.end() ? std::u32string_view(&code_point, 1) : found->second;
}

CodePointSet unite(const CodePointSet& a, const CodePointSet& b) {
  CodePointSet all = a;
  all.insert(all.end(), b.begin(), b.end());
  std::sort(all.begin(), all.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  CodePointSet out;
  for (const auto& range : all) {
    if (!out.empty() && range.first <= out.back().last + 1)
      out.back().last = std::max(out.back().last, range.last);
    else
      out.push_back(range);
  }
  return out;
}

CodePointSet complement(const CodePointSet& set) {
  CodePointSet out;
  char32_t next = 0;
  for (const auto& range : set) {
    if (range.first > next) out.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next < kCodePoints) out.push_back({next, kCodePoints - 1});
  return out;
}

CodePointSet intersect(const CodePointSet& a, const CodePointSet& b) {
  return complement(unite(complement(a), complement(b)));
}

CodePointSet flagged(std::uint16_t flags) {
  const auto* of = code_point_flags();
  return collect([&](char32_t c) { return (of[c] & flags) != 0; });
}

CodePointSet regex_word_set(bool in_brackets) {
  const CodePointSet inside = flagged(kRegexWordFlag);
  if (in_brackets) return inside;
  return unite(inside, {std::begin(kRegexWordOutsideBrackets), std::end(kRegexWordOutsideBrackets)});
}

CodePointSet property_set(std::string_view name) {
  for (const auto& script : kScripts)
    if (script.name == name) return {script.ranges.begin(), script.ranges.end()};
  if (name.empty() || name.size() > 2) return {};
  const auto* of = code_point_categories();
  return collect([&](char32_t c) { return kCategoryNames[of[c]].substr(0, name.size()) == name; });
}

bool is_valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

std::string to_utf8(std::u32string_view code_points) {
  std::string text;
  for (const char32_t c : code_points) append_utf8(text, c);
  return text;
}

std::u32string to_code_points(std::string_view text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) out.push_back(next_code_point(text, at));
  return out;
}

}  // namespace anneal
