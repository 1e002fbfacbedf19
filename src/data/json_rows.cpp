// Rows from JSON: an object a line, or one array of objects that is cut into its elements without parsing it
// whole.
#include <algorithm>
#include <charconv>
#include <optional>

#include "data/row_source.h"
#include "formats/json_object.h"
#include "formats/lines.h"
#include "formats/text_file.h"

namespace anneal {
namespace {

constexpr const char* kRemedy = "correct the row, or allow some bad ones with --skip_bad_rows N";
constexpr const char* kSpaces = " \t\r\n";

// What lies at a path of keys and list positions; nothing where the path leads nowhere, null where it passes
// a null.
std::optional<simdjson::dom::element> value_at(simdjson::dom::element value,
                                               const std::vector<std::string>& path) {
  for (const auto& step : path) {
    if (value.is_null()) return value;
    std::size_t position = 0;
    const char* const end = step.data() + step.size();
    const bool is_number = std::from_chars(step.data(), end, position).ptr == end && !step.empty();
    simdjson::dom::array list;
    simdjson::dom::object object;
    auto error = simdjson::NO_SUCH_FIELD;
    if (is_number && value.get(list) == simdjson::SUCCESS)
      error = list.at(position).get(value);
    else if (value.get(object) == simdjson::SUCCESS)
      error = object.at_key(step).get(value);
    if (error != simdjson::SUCCESS) return std::nullopt;
  }
  return value;
}

class JsonRow {
 public:
  JsonRow(std::string file, ColumnPicker& columns)
      : file_(std::move(file)), columns_(columns), path_lengths_(columns.wanted()) {}

  void parse(const Line& line, std::vector<Cell>& cells) {
    cells.resize(columns_.wanted());
    for (auto& cell : cells) {
      cell.text.clear();
      cell.kind = CellKind::kMissing;
    }
    std::fill(path_lengths_.begin(), path_lengths_.end(), kNoPath);
    try {
      for (const auto field : parser_.parse(line.text, line.readable_after))
        for (const auto& use : columns_.uses_of(field.key)) take(cells[use.index], use, field);
    } catch (const JsonDefect& defect) {
      throw BadRow(defect.reason, place(line, defect.offset), kRemedy);
    }
  }

 private:
  static constexpr std::size_t kNoPath = -1;

  // The shorter the path, the longer the column's own name: that one counts.
  void take(Cell& cell, const ColumnUse& use, const simdjson::dom::key_value_pair& field) {
    auto& length = path_lengths_[use.index];
    if (use.path.size() == length)
      throw JsonDefect{0, "the key \"" + std::string(field.key) + "\" stands twice"};
    if (use.path.size() > length) return;
    const auto value = value_at(field.value, use.path);
    if (!value) return;
    length = use.path.size();
    columns_.mark_found(use.index);
    fill(cell, *value);
  }

  static void fill(Cell& cell, simdjson::dom::element value) {
    std::string_view text;
    cell.text.clear();
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
  std::vector<std::size_t> path_lengths_;  // of the uses that filled the cells
  JsonObjectParser parser_;
};

class JsonLineRows : public RowSource {
 public:
  JsonLineRows(std::shared_ptr<TextFile> file, const std::string& name, ColumnPicker& columns)
      : file_(std::move(file)), lines_(file_->text()), row_(name, columns) {}

  bool next(std::vector<Cell>& cells) override {
    Line line;
    do {
      if (!lines_.next(line)) return false;
    } while (line.text.find_first_not_of(kSpaces) == line.text.npos);
    file_->pass(line.offset);
    row_.parse(line, cells);
    return true;
  }

 private:
  std::shared_ptr<TextFile> file_;
  LineCursor lines_;
  JsonRow row_;
};

class JsonArrayRows : public RowSource {
 public:
  // `start` is the offset of the opening bracket.
  JsonArrayRows(std::shared_ptr<TextFile> file, const std::string& name, std::size_t start,
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
    file_->pass(position_);
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

  std::shared_ptr<TextFile> file_;
  std::string_view text_;
  std::string name_;
  JsonRow row_;
  std::size_t position_ = 0;
  std::int64_t line_ = 1;
  std::int64_t rows_ = 0;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<RowSource> open_json_rows(const RowFile& source, ColumnPicker& columns,
                                          const std::filesystem::path& scratch) {
  auto file = std::make_shared<TextFile>(source.path, scratch);
  const auto name = source.path.string();
  const auto text = file->text();
  const auto start =
      text.find_first_not_of(kSpaces, text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0);
  if (source.kind == FileKind::kJson && start != text.npos && text[start] == '[')
    return std::make_unique<JsonArrayRows>(std::move(file), name, start, columns);
  return std::make_unique<JsonLineRows>(std::move(file), name, columns);
}

}  // namespace anneal
