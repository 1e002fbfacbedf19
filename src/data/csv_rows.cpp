// Rows from CSV: RFC 4180 with a header row and any delimiter; quoted fields may hold line ends.
#include <algorithm>

#include "data/row_source.h"
#include "formats/lines.h"
#include "formats/text_file.h"

namespace anneal {
namespace {

class CsvRows : public RowSource {
 public:
  CsvRows(const RowFile& file, ColumnPicker& columns, const std::filesystem::path& scratch)
      : file_(file.path, scratch),
        text_(file_.text()),
        delimiter_(file.delimiter),
        field_ends_{file.delimiter, '\r', '\n'},
        name_(file.path.string()),
        wanted_(columns.wanted()) {
    if (text_.starts_with(kByteOrderMark)) position_ = kByteOrderMark.size();
    if (!read_record())
      fail(ExitCode::kData, "the file has no header row", name_, "write the column names in line 1");
    check_utf8();
    auto sorted = fields_;
    std::sort(sorted.begin(), sorted.end());
    if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
      fail(ExitCode::kData, "the column \"" + *twice + "\" stands twice in the header", name_ + ":1",
           "rename one of the two");
    for (const auto& field : fields_) cell_of_field_.push_back(cell_of(columns, field));
  }

  bool next(std::vector<Cell>& cells) override {
    if (!read_record()) return false;
    check_utf8();
    if (fields_.size() != cell_of_field_.size())
      throw BadRow(
          "the row has " + std::to_string(fields_.size()) + " fields, the header " +
              std::to_string(cell_of_field_.size()),
          place_of(name_, record_line_, record_start_),
          "quote fields that hold the delimiter or line ends, or allow some bad rows with --skip_bad_rows N");
    cells.assign(wanted_, Cell{});
    for (std::size_t field = 0; field < fields_.size(); ++field) {
      if (cell_of_field_[field] < 0) continue;
      auto& cell = cells[cell_of_field_[field]];
      cell.text.swap(fields_[field]);
      cell.kind = CellKind::kText;
    }
    return true;
  }

 private:
  // A field is a text, with nothing inside: a use by a path does not apply.
  static int cell_of(ColumnPicker& columns, const std::string& field) {
    for (const auto& use : columns.uses_of(field)) {
      if (!use.path.empty()) continue;
      columns.mark_found(use.index);
      return use.index;
    }
    return -1;
  }

  // Fills fields_. False at the end. Lines with nothing in them are no records.
  bool read_record() {
    while (position_ < text_.size() && (text_[position_] == '\n' || text_[position_] == '\r'))
      take_line_end();
    if (position_ >= text_.size()) return false;
    record_line_ = line_;
    record_start_ = position_;
    file_.pass(position_);
    fields_.clear();
    while (read_field()) {
    }
    return true;
  }

  // True where the delimiter, so another field, follows.
  bool read_field() {
    auto& field = fields_.emplace_back();
    if (position_ < text_.size() && text_[position_] == '"') {
      read_quoted(field);
    } else {
      const auto end = std::min(text_.find_first_of(field_ends_, position_), text_.size());
      field = text_.substr(position_, end - position_);
      position_ = end;
    }
    if (position_ >= text_.size()) return false;
    if (text_[position_] == delimiter_) {
      ++position_;
      return true;
    }
    take_line_end();
    return false;
  }

  void read_quoted(std::string& field) {
    const auto opening_line = line_;
    const auto opening = position_++;
    while (true) {
      const auto quote = text_.find('"', position_);
      if (quote == text_.npos)
        fail(ExitCode::kData, "a quoted field is not closed", place_of(name_, opening_line, opening),
             "close it with a quotation mark; inside a field write it twice");
      const auto part = text_.substr(position_, quote - position_);
      line_ += std::count(part.begin(), part.end(), '\n');
      field += part;
      position_ = quote + 1;
      if (position_ >= text_.size() || text_[position_] != '"') break;
      field += '"';
      ++position_;
    }
    if (position_ < text_.size() && field_ends_.find(text_[position_]) == field_ends_.npos)
      fail(ExitCode::kData, "text follows the closing quotation mark of a field",
           place_of(name_, line_, position_), "inside a quoted field write a quotation mark twice");
  }

  // "\r\n", "\n" or a lone "\r".
  void take_line_end() {
    if (text_[position_] == '\r') ++position_;
    if (position_ < text_.size() && text_[position_] == '\n') ++position_;
    ++line_;
  }

  void check_utf8() const {
    require_utf8(text_.substr(record_start_, position_ - record_start_), name_, record_line_, record_start_);
  }

  TextFile file_;
  std::string_view text_;
  char delimiter_;
  std::string field_ends_;
  std::string name_;
  std::size_t wanted_;
  std::vector<int> cell_of_field_;  // of each field of a row; -1: not asked for
  std::vector<std::string> fields_;
  std::size_t position_ = 0;
  std::int64_t line_ = 1;
  std::int64_t record_line_ = 1;
  std::size_t record_start_ = 0;
};

}  // namespace

std::unique_ptr<RowSource> open_csv_rows(const RowFile& file, ColumnPicker& columns,
                                         const std::filesystem::path& scratch) {
  return std::make_unique<CsvRows>(file, columns, scratch);
}

}  // namespace anneal
