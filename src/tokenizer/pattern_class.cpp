#include "tokenizer/pattern_class.h"

#include <fmt/format.h>

#include "tokenizer/pattern_translation.h"

namespace anneal {
namespace {

bool is_ascii_letter(char32_t c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
bool is_ascii_digit(char32_t c) { return c >= '0' && c <= '9'; }

const CodePointSet kHexDigits = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};

CodePointSet parse_property(PatternCursor& cursor, bool negated) {
  if (!cursor.accept(U"{")) throw UnsupportedPattern("a property without braces");
  negated ^= cursor.accept(U"^");
  std::string name;
  while (!cursor.done() && cursor.peek() != '}') append_utf8(name, cursor.take());
  if (!cursor.accept(U"}")) throw UnsupportedPattern("an unfinished property");
  const auto set = property_set(name);
  if (set.empty()) throw UnsupportedPattern("the property \\p{" + name + "}");
  return negated ? complement(set) : set;
}

char32_t parse_hex(PatternCursor& cursor) {
  const bool braces = cursor.accept(U"{");
  char32_t value = 0;
  int digits = 0;
  for (; digits < (braces ? 8 : 2); ++digits) {
    const char32_t c = cursor.peek();
    if (!is_ascii_digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'f')) break;
    value = value * 16 + (is_ascii_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    ++cursor.at;
  }
  // Without braces the escape is of a byte, which is only surely a character below 0x80.
  if (digits == 0 || (braces && !cursor.accept(U"}")) || (!braces && value >= 0x80) || value >= kCodePoints)
    throw UnsupportedPattern("the escape \\x");
  return value;
}

char32_t parse_unicode_escape(PatternCursor& cursor) {
  char32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char32_t c = cursor.take();
    if (!is_ascii_digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'f'))
      throw UnsupportedPattern("the escape \\u");
    value = value * 16 + (is_ascii_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

CodePointSet with_case(const CodePointSet& set, bool ignore_case) {
  if (!ignore_case) return set;
  CodePointSet out = set;
  for (const auto& range : set) {
    if (range.last >= 0x80)
      throw UnsupportedPattern("a class of other than ASCII characters where case is ignored");
    for (char32_t c = range.first; c <= range.last; ++c) out = unite(out, case_variants(c));
  }
  return out;
}

struct ClassItem {
  CodePointSet set;
  bool is_literal = false;
};

ClassItem parse_class_item(PatternCursor& cursor) {
  if (cursor.peek() == '[' && cursor.peek(1) == ':') throw UnsupportedPattern("a POSIX class");
  if (cursor.accept(U"[")) return {parse_bracket_class(cursor, false)};
  char32_t c = cursor.take();
  if (c == '\\') {
    if (auto set = parse_class_escape(cursor, true)) return {*set};
    c = parse_literal_escape(cursor);
  }
  return {{{c, c}}, true};
}

}  // namespace

char32_t PatternCursor::take() {
  if (done()) throw UnsupportedPattern("an unfinished construct");
  return text[at++];
}

bool PatternCursor::accept(std::u32string_view expected) {
  if (std::u32string_view(text).substr(at, expected.size()) != expected) return false;
  at += expected.size();
  return true;
}

std::optional<CodePointSet> parse_class_escape(PatternCursor& cursor, bool in_brackets) {
  const char32_t c = cursor.peek();
  const auto take = [&](CodePointSet set, char32_t negated) {
    ++cursor.at;
    return c == negated ? complement(set) : set;
  };
  switch (c) {
    case 's':
    case 'S':
      return take(flagged(kRegexSpaceFlag), 'S');
    case 'd':
    case 'D':
      return take(property_set("Nd"), 'D');
    case 'w':
    case 'W':
      return take(regex_word_set(in_brackets), 'W');
    case 'h':
    case 'H':
      return take(kHexDigits, 'H');
    case 'p':
    case 'P':
      ++cursor.at;
      return parse_property(cursor, c == 'P');
    default:
      return std::nullopt;
  }
}

char32_t parse_literal_escape(PatternCursor& cursor) {
  const char32_t c = cursor.take();
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case 'a':
      return '\a';
    case 'e':
      return 0x1B;
    case 'x':
      return parse_hex(cursor);
    case 'u':
      return parse_unicode_escape(cursor);
    default:
      if (is_ascii_letter(c) || is_ascii_digit(c))
        throw UnsupportedPattern(std::string("the escape \\") + static_cast<char>(c));
      return c;
  }
}

CodePointSet parse_bracket_class(PatternCursor& cursor, bool ignore_case) {
  const bool negated = cursor.accept(U"^");
  CodePointSet current;
  std::optional<CodePointSet> intersection;
  bool first = true;
  for (; first || cursor.peek() != ']'; first = false) {
    if (first && cursor.peek() == ']') throw UnsupportedPattern("a class that begins with ]");
    if (cursor.accept(U"&&")) {
      intersection = intersection ? intersect(*intersection, current) : current;
      current.clear();
      continue;
    }
    ClassItem item = parse_class_item(cursor);
    if (cursor.peek() == '-' && cursor.peek(1) != ']') {
      ++cursor.at;
      const ClassItem last = parse_class_item(cursor);
      if (!item.is_literal || !last.is_literal || last.set[0].first < item.set[0].first)
        throw UnsupportedPattern("a class range that is not between two characters");
      item.set[0].last = last.set[0].first;
    }
    current = unite(current, item.set);
  }
  ++cursor.at;
  if (intersection) current = intersect(*intersection, current);
  current = with_case(current, ignore_case);
  return negated ? complement(current) : current;
}

CodePointSet case_variants(char32_t c) {
  if (c >= 0x80) throw UnsupportedPattern("a character outside ASCII where case is ignored");
  if (!is_ascii_letter(c)) return {{c, c}};
  CodePointSet set = {{c & ~char32_t{0x20}, c & ~char32_t{0x20}}, {c | 0x20, c | 0x20}};
  if ((c | 0x20) == 's') set.push_back({0x17F, 0x17F});    // long s
  if ((c | 0x20) == 'k') set.push_back({0x212A, 0x212A});  // Kelvin sign
  return set;
}

std::string pcre_class(const CodePointSet& set) {
  static const CodePointSet kScalarValues = {{0, 0xD7FF},
                                             {0xE000, kCodePoints - 1}};  // PCRE2 refuses surrogates
  const CodePointSet scalars = intersect(set, kScalarValues);
  if (scalars.empty()) return "(*FAIL)";
  std::string out = "[";
  for (const auto& range : scalars)
    out += range.first == range.last ? fmt::format("\\x{{{:X}}}", std::uint32_t{range.first})
                                     : fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", std::uint32_t{range.first},
                                                   std::uint32_t{range.last});
  return out + "]";
}

}  // namespace anneal
