// Decomposition, reordering and composition as in Unicode Standard Annex 15; Hangul by arithmetic
// (chapter 3.12).
#include "tokenizer/normal_forms.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <vector>

#include "tokenizer/unicode_tables.h"

namespace anneal {
namespace {

using namespace unicode_tables;

constexpr char32_t kHangulBase = 0xAC00, kLeadBase = 0x1100, kVowelBase = 0x1161, kTrailBase = 0x11A7;
constexpr char32_t kLeads = 19, kVowels = 21, kTrails = 28, kSyllables = kLeads * kVowels * kTrails;

std::uint64_t pair_key(char32_t first, char32_t second) { return std::uint64_t{first} << 32 | second; }

class Forms {
 public:
  Forms() : combining_class(kCodePoints, 0), unstable_(kCodePoints, 0) {
    for (const auto& range : kCombiningClasses)
      for (char32_t c = range.first; c <= range.last; ++c)
        combining_class[c] = static_cast<std::uint8_t>(range.combining_class);
    for_each_sequence(kCanonical, [this](char32_t c, std::u32string_view d) { canonical_[c] = d; });
    compatibility_ = canonical_;
    for_each_sequence(kCompatibility, [this](char32_t c, std::u32string_view d) { compatibility_[c] = d; });
    make_compositions();
    mark_unstable();
  }

  bool is_stable(char32_t c, NormalForm form) const { return !(unstable_[c] >> static_cast<int>(form) & 1); }

  void decompose(char32_t c, bool compatible, std::u32string& out) const {
    if (c - kHangulBase < kSyllables) {
      const char32_t index = c - kHangulBase;
      out.push_back(kLeadBase + index / (kVowels * kTrails));
      out.push_back(kVowelBase + index % (kVowels * kTrails) / kTrails);
      if (index % kTrails) out.push_back(kTrailBase + index % kTrails);
      return;
    }
    const auto& map = compatible ? compatibility_ : canonical_;
    const auto found = map.find(c);
    if (found == map.end())
      out.push_back(c);
    else
      out.append(found->second);
  }

  // 0 where the two do not compose.
  char32_t compose(char32_t first, char32_t second) const {
    if (first - kLeadBase < kLeads && second - kVowelBase < kVowels)
      return kHangulBase + ((first - kLeadBase) * kVowels + second - kVowelBase) * kTrails;
    if (first - kHangulBase < kSyllables && (first - kHangulBase) % kTrails == 0 && second > kTrailBase &&
        second < kTrailBase + kTrails)
      return first + (second - kTrailBase);
    const auto found = compositions_.find(pair_key(first, second));
    return found == compositions_.end() ? 0 : found->second;
  }

  std::vector<std::uint8_t> combining_class;

 private:
  // The library gives full decompositions. The last step of each is (composition of all but the last, last).
  void make_compositions() {
    std::set<char32_t> excluded;
    for (const auto& range : kNotComposed)
      for (char32_t c = range.first; c <= range.last; ++c) excluded.insert(c);
    std::unordered_map<std::u32string, char32_t> by_decomposition;
    for (const auto& [c, sequence] : canonical_)
      if (!excluded.contains(c)) by_decomposition[std::u32string(sequence)] = c;
    for (const auto& [sequence, c] : by_decomposition) {
      const auto head = sequence.substr(0, sequence.size() - 1);
      const auto found = by_decomposition.find(head);
      if (head.size() == 1)
        compositions_[pair_key(head[0], sequence.back())] = c;
      else if (found != by_decomposition.end())
        compositions_[pair_key(found->second, sequence.back())] = c;
    }
  }

  void mark_unstable() {
    const auto mark = [this](char32_t c, std::initializer_list<NormalForm> forms) {
      for (const auto form : forms) unstable_[c] |= 1 << static_cast<int>(form);
    };
    using enum NormalForm;
    for (char32_t c = 0; c < kCodePoints; ++c)
      if (combining_class[c]) mark(c, {kNfc, kNfd, kNfkc, kNfkd});
    for (char32_t c = kHangulBase; c < kHangulBase + kSyllables; ++c) mark(c, {kNfd, kNfkd});
    for (char32_t c = kVowelBase; c < kTrailBase + kTrails; ++c) mark(c, {kNfc, kNfkc});
    for (const auto& [c, d] : compatibility_) mark(c, {kNfkc, kNfkd});
    for (const auto& [c, d] : canonical_) mark(c, {kNfd, kNfkd});
    for (const auto& range : kNotComposed)
      for (char32_t c = range.first; c <= range.last; ++c) mark(c, {kNfc, kNfkc});
    for (const auto& [pair, c] : compositions_) mark(static_cast<char32_t>(pair), {kNfc, kNfkc});
  }

  std::unordered_map<char32_t, std::u32string_view> canonical_, compatibility_;
  std::unordered_map<std::uint64_t, char32_t> compositions_;
  std::vector<std::uint8_t>
      unstable_;  // bit per form: the code point may change, or change with what precedes it
};

const Forms& forms() {
  static const Forms made;
  return made;
}

void reorder(std::u32string& text, const std::vector<std::uint8_t>& classes) {
  const auto by_class = [&](char32_t a, char32_t b) { return classes[a] < classes[b]; };
  for (std::size_t at = 0; at < text.size();) {
    if (classes[text[at]] == 0) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < text.size() && classes[text[end]] != 0) ++end;
    std::stable_sort(text.begin() + at, text.begin() + end, by_class);
    at = end;
  }
}

void compose(std::u32string& text, const Forms& forms) {
  std::size_t written = 0, starter = 0;
  bool has_starter = false;
  int previous_class = -1;  // of what was written last after the starter; -1: nothing
  for (const char32_t c : text) {
    const int combining_class = forms.combining_class[c];
    if (has_starter && previous_class < combining_class) {
      if (const char32_t composed = forms.compose(text[starter], c)) {
        text[starter] = composed;
        continue;
      }
    }
    if (combining_class == 0) {
      starter = written;
      has_starter = true;
      previous_class = -1;
    } else {
      previous_class = combining_class;
    }
    text[written++] = c;
  }
  text.resize(written);
}

}  // namespace

bool is_surely_normal(std::string_view text, NormalForm form) {
  const auto& table = forms();
  for (std::size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80)
      ++at;
    else if (!table.is_stable(next_code_point(text, at), form))
      return false;
  }
  return true;
}

std::string normalize(std::string_view text, NormalForm form) {
  if (is_surely_normal(text, form)) return std::string(text);
  const auto& table = forms();
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  std::u32string points;
  points.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) table.decompose(next_code_point(text, at), compatible, points);
  reorder(points, table.combining_class);
  if (form == NormalForm::kNfc || form == NormalForm::kNfkc) compose(points, table);
  return to_utf8(points);
}

}  // namespace anneal
