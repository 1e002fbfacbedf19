// One JSON object in memory, parsed fast and strictly: UTF-8, surrogates, nesting. Rows of data, not config
// files.
#pragma once
#include <simdjson.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace anneal {

// What is wrong with a JSON text, for the reader to add file and line.
struct JsonDefect {
  std::size_t offset = 0;
  std::string reason;
  bool only_a_large_number = false;  // valid JSON, but a number that 64 bits do not hold
};

class JsonObjectParser {
 public:
  JsonObjectParser();

  // Throws JsonDefect. The result refers to this parser and lives until the next call. `readable_after` is
  // the number of bytes that may be read beyond the end of `text`; where they are too few, the text is
  // copied.
  simdjson::dom::object parse(std::string_view text, std::size_t readable_after);

 private:
  simdjson::dom::parser parser_;
  std::string padded_;
};

// Compact JSON text of any value. Floats are written as Python's repr() does, so that a template gives the
// same text as with the `datasets` library.
void append_json(std::string& text, simdjson::dom::element value);
void append_json_string(std::string& text, std::string_view value);  // with the quotes; non-ASCII stays raw
void append_float(std::string& text, double value);

}  // namespace anneal
