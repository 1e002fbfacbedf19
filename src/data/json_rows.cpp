// Rows from JSON: an object a line, or one array of objects that is cut into its elements without parsing it
// whole.
#include <algorithm>

#include "base/file.h"
#include "data/row_source.h"
#include "formats/json_object.h"
#include "formats/lines.h"

namespace anneal {
namespace {

constexpr const char* kRemedy = "correct the row, or allow some bad ones with --skip_bad_rows N";
constexpr const char* kSpaces = " \t\r\n";

class JsonRow {
 public:
  JsonRow(std::string file, ColumnPicker& columns) : file_(std::move(file)), columns_(columns) {}

  void parse(const Line& line, std::vector<Cell>& cells) {
    cells.resize(columns_.wanted());
    for (auto& cell : cells) {
      cell.text.clear();
      cell.kind = CellKind::kMissing;
    }
    try {
      for (const auto field : parser_.parse(line.text, line.readable_after)) {
        const int index = columns_.index_of(field.key);
        if (index < 0) continue;
        if (cells[index].kind != CellKind::kMissing)
          throw JsonDefect{0, "the key \"" + std::string(field.key) + "\" stands twice"};
        fill(cells[index], field.value);
      }
    } catch (const JsonDefect& defect) {
      throw BadRow(defect.reason, place(line, defect.offset), kRemedy);
    }
  }

 private:
  static void fill(Cell& cell, simdjson::dom::element value) {
    std::string_view text;
    if (value.is_null()) {
      cell.kind = CellKind::kNull;
    } else if (value.get_string().get(text) == simdjson::SUCCESS) {
      cell.kind = CellKind::kText;
      cell.text = text;
    } else {
      cell.kind = CellKind::kOther;
      append_json(cell.text, value);
    }
  }

  // An element of an array may span lines, so the offset decides the line.
  std::string place(const Line& line, std::size_t offset) const {
    const auto before = line.text.substr(0, offset);
    return place_of(file_, line.number + std::count(before.begin(), before.end(), '\n'),
                    line.offset + offset);
  }

  std::string file_;
  ColumnPicker& columns_;
  JsonObjectParser parser_;
};

class JsonLineRows : public RowSource {
 public:
  JsonLineRows(std::shared_ptr<MappedFile> file, const std::string& name, ColumnPicker& columns)
      : file_(std::move(file)), lines_(file_->text()), row_(name, columns) {}

  bool next(std::vector<Cell>& cells) override {
    Line line;
    do {
      if (!lines_.next(line)) return false;
    } while (line.text.find_first_not_of(kSpaces) == line.text.npos);
    row_.parse(line, cells);
    return true;
  }

 private:
  std::shared_ptr<MappedFile> file_;
  LineCursor lines_;
  JsonRow row_;
};

class JsonArrayRows : public RowSource {
 public:
  // `start` is the offset of the opening bracket.
  JsonArrayRows(std::shared_ptr<MappedFile> file, const std::string& name, std::size_t start,
                ColumnPicker& columns)
      : file_(std::move(file)), text_(file_->text()), name_(name), row_(name, columns) {
    advance_to(start + 1);
  }

  bool next(std::vector<Cell>& cells) override {
    if (ended_) return false;
    skip_spaces();
    if (peek() == ']' && rows_ == 0) return end();
    Line element{.number = line_, .offset = position_};
    const auto stop = element_end();
    element.text = text_.substr(position_, stop - position_);
    element.readable_after = text_.size() - stop;
    advance_to(stop);
    ++rows_;
    if (peek() == ',')
      advance_to(position_ + 1);
    else
      end();
    row_.parse(element, cells);
    return true;
  }

 private:
  [[noreturn]] void refuse(const std::string& problem) {
    fail(ExitCode::kData, problem, place_of(name_, line_, position_),
         "give an array of objects, or an object a line");
  }

  char peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }

  void advance_to(std::size_t position) {
    line_ += std::count(text_.begin() + position_, text_.begin() + position, '\n');
    position_ = position;
  }

  void skip_spaces() { advance_to(std::min(text_.find_first_not_of(kSpaces, position_), text_.size())); }

  // After the last element: only the closing bracket may follow.
  bool end() {
    skip_spaces();
    if (position_ >= text_.size()) refuse("the array is not closed: the file may be cut off");
    advance_to(position_ + 1);
    skip_spaces();
    if (position_ < text_.size()) refuse("there is text after the array");
    ended_ = true;
    return false;
  }

  // Where the element that starts here is followed by a comma or the closing bracket of the array. Brackets
  // are only counted: whether they match is for the parser to say.
  std::size_t element_end() {
    std::int64_t depth = 0;
    for (std::size_t at = position_; at < text_.size(); ++at) {
      const char c = text_[at];
      if (c == '"') {
        while (++at < text_.size() && text_[at] != '"')
          if (text_[at] == '\\') ++at;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (depth == 0 && (c == ',' || c == ']')) {
        return at;
      } else if (c == '}' || c == ']') {
        --depth;
      }
    }
    refuse("the array is not closed: the file may be cut off");
  }

  std::shared_ptr<MappedFile> file_;
  std::string_view text_;
  std::string name_;
  JsonRow row_;
  std::size_t position_ = 0;
  std::int64_t line_ = 1;
  std::int64_t rows_ = 0;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<RowSource> open_json_rows(const std::filesystem::path& path, ColumnPicker& columns) {
  auto file = std::make_shared<MappedFile>(path, ExitCode::kData);
  const auto text = file->text();
  const auto start =
      text.find_first_not_of(kSpaces, text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0);
  if (path.extension() != ".jsonl" && start != text.npos && text[start] == '[')
    return std::make_unique<JsonArrayRows>(std::move(file), path.string(), start, columns);
  return std::make_unique<JsonLineRows>(std::move(file), path.string(), columns);
}

}  // namespace anneal
