// Rows of local data files, one after another: the text of the columns that were asked for.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/row_file.h"
#include "formats/bad_row.h"

namespace anneal {

enum class CellKind { kMissing, kNull, kText, kOther };

struct Cell {
  std::string text;  // empty where missing or null; see docs/datasets.md for values that are no text
  CellKind kind = CellKind::kMissing;
};

// Where a column holds what was asked for: all of it, or the value at a path of keys and list positions.
struct ColumnUse {
  int index;  // in the list of what was asked for
  std::vector<std::string> path;
};

// The columns asked for, and the names of all columns that were seen. "answer.text.0" asks for the column of
// that name or else for what lies in another: text.0 in the column "answer".
class ColumnPicker {
 public:
  static constexpr std::size_t kMaximumNames = 200;  // kept for messages

  explicit ColumnPicker(const std::vector<std::string>& wanted);
  const std::vector<ColumnUse>& uses_of(std::string_view column);  // empty: not asked for
  void mark_found(int index) { found_[index] = true; }             // there is such a value
  std::size_t wanted() const { return found_.size(); }
  bool was_found(std::size_t index) const { return found_[index]; }
  const std::vector<std::string>& names() const { return names_; }  // in order of appearance

 private:
  struct Entry {
    std::vector<ColumnUse> uses;
    bool seen = false;
  };
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> columns_;
  std::vector<bool> found_;
  std::vector<std::string> names_;
};

// Throws BadRow where `text` is not UTF-8. In the file it begins at `line` and `offset`.
void require_utf8(std::string_view text, const std::string& file, std::int64_t line, std::size_t offset);

class RowSource {
 public:
  virtual ~RowSource() = default;
  // Fills `cells`, parallel to the columns asked for. False at the end. After a BadRow the next call goes on.
  virtual bool next(std::vector<Cell>& cells) = 0;
};

// `columns` outlives the source; temporary files go to `scratch`.
std::unique_ptr<RowSource> open_rows(const RowFile& file, ColumnPicker& columns,
                                     const std::filesystem::path& scratch);

// An object a line, or, for kJson, one array of objects.
std::unique_ptr<RowSource> open_json_rows(const RowFile& file, ColumnPicker& columns,
                                          const std::filesystem::path& scratch);
// RFC 4180 with a header row; any delimiter.
std::unique_ptr<RowSource> open_csv_rows(const RowFile& file, ColumnPicker& columns,
                                         const std::filesystem::path& scratch);
// A row a line, in the column "text".
std::unique_ptr<RowSource> open_text_rows(const RowFile& file, ColumnPicker& columns,
                                          const std::filesystem::path& scratch);

}  // namespace anneal
