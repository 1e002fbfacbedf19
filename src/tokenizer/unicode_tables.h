// The generated tables, in the forms that unicode.cpp and normal_forms.cpp read.
#pragma once
#include <cstdint>

#include "tokenizer/unicode.h"

namespace anneal::unicode_tables {

struct CategoryRange {
  char32_t first, last;
  Category category;
};

struct ClassRange {
  char32_t first, last;
  std::uint32_t combining_class;
};

#include "tokenizer/unicode_tables.inc"

// Calls visit(code_point, sequence) for every entry of a table of sequences: code point, length, values.
template <std::size_t kSize, class Visit>
void for_each_sequence(const char32_t (&table)[kSize], Visit visit) {
  for (std::size_t at = 0; at < kSize; at += 2 + table[at + 1])
    visit(table[at], std::u32string_view(table + at + 2, table[at + 1]));
}

}  // namespace anneal::unicode_tables
