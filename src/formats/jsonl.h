// The files that training reads: one {"input": text, "output": text} a line. Strict; every error names its
// place.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/file.h"
#include "formats/bad_row.h"
#include "formats/json_object.h"
#include "formats/lines.h"

namespace anneal {

struct TextPair {
  std::string_view input, output;
};

// Reads single lines; one a thread. What it returns lives until the next call.
class TextPairParser {
 public:
  explicit TextPairParser(std::string file) : file_(std::move(file)) {}
  TextPair parse(const Line& line);  // throws BadRow

 private:
  TextPair slow_parse(const Line& line);

  std::string file_;
  JsonObjectParser parser_;
  std::string input_, output_;
};

class TextPairReader {
 public:
  explicit TextPairReader(const std::filesystem::path& path, std::int64_t skip_bad_rows = 0);

  // False at the end. Throws BadRow once more lines are bad than may be skipped.
  bool next(TextPair& pair);
  std::int64_t line_number() const { return line_.number; }  // of the last pair
  const BadRowBudget& bad_rows() const { return bad_rows_; }

 private:
  MappedFile file_;
  LineCursor lines_;
  Line line_;
  TextPairParser parser_;
  BadRowBudget bad_rows_;
};

// One line, with its line end: the bytes of Python's json.dumps(..., ensure_ascii=False).
void append_text_pair(std::string& text, const TextPair& pair);

}  // namespace anneal
