// Bracket expressions and class escapes of Oniguruma patterns as sets of code points.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/unicode.h"

namespace anneal {

// A position in a pattern, by code point.
struct PatternCursor {
  std::u32string text;
  std::size_t at = 0;

  bool done() const { return at >= text.size(); }
  char32_t peek(std::size_t ahead = 0) const { return at + ahead < text.size() ? text[at + ahead] : U'\0'; }
  char32_t take();
  bool accept(std::u32string_view expected);
};

// The set of a class escape such as \s, \p{L} or \h; the cursor stands after the backslash and moves only on
// success.
std::optional<CodePointSet> parse_class_escape(PatternCursor& cursor, bool in_brackets);
// The literal of an escape such as \n or \x{20AC}; the cursor stands after the backslash.
char32_t parse_literal_escape(PatternCursor& cursor);
// The cursor stands after the opening bracket and ends after the closing one.
CodePointSet parse_bracket_class(PatternCursor& cursor, bool ignore_case);

// The code points that match `c` where case is ignored. Refuses letters whose folding is not of a single
// ASCII pair.
CodePointSet case_variants(char32_t c);

std::string pcre_class(const CodePointSet& set);

}  // namespace anneal
