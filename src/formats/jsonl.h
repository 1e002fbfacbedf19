// The files that training reads: a line is {"input": text, "output": text} or {"messages": [...], "tools":
// [...]}. Strict; every error names its place.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/pages_behind.h"
#include "formats/bad_row.h"
#include "formats/json_object.h"
#include "formats/lines.h"

namespace anneal {

struct DataRow {
  std::string_view input, output;
  std::string_view chat;  // the whole object, where it is a chat; then input and output are empty
};

// Reads single lines; one a thread. What it returns lives until the next call, a chat as long as the line.
class DataRowParser {
 public:
  explicit DataRowParser(std::string file) : file_(std::move(file)) {}
  DataRow parse(const Line& line);  // throws BadRow

 private:
  DataRow slow_parse(const Line& line);

  std::string file_;
  JsonObjectParser parser_;
  std::string input_, output_;
};

class DataRowReader {
 public:
  explicit DataRowReader(const std::filesystem::path& path, std::int64_t skip_bad_rows = 0);

  // False at the end. Throws BadRow once more lines are bad than may be skipped.
  bool next(DataRow& pair);
  std::int64_t line_number() const { return line_.number; }  // of the last pair
  const BadRowBudget& bad_rows() const { return bad_rows_; }

 private:
  MappedFile file_;
  PagesBehind behind_;
  LineCursor lines_;
  Line line_;
  DataRowParser parser_;
  BadRowBudget bad_rows_;
};

// One line, with its line end: the bytes of Python's json.dumps(..., ensure_ascii=False).
void append_text_pair(std::string& text, std::string_view input, std::string_view output);

}  // namespace anneal
