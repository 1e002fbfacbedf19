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

#include "formats/bad_row.h"

namespace anneal {

enum class CellKind { kMissing, kNull, kText, kOther };

struct Cell {
  std::string text;  // empty where missing or null; compact JSON where the value is not a text
  CellKind kind = CellKind::kMissing;
};

// The columns asked for, and the names of all columns that were seen.
class ColumnPicker {
 public:
  static constexpr std::size_t kMaximumNames = 200;  // kept for messages

  explicit ColumnPicker(const std::vector<std::string>& wanted);
  int index_of(std::string_view name);  // -1: not asked for
  std::size_t wanted() const { return indices_.size(); }
  bool was_seen(std::size_t index) const { return seen_wanted_[index]; }
  const std::vector<std::string>& names() const { return names_; }  // in order of appearance

 private:
  struct Entry {
    int index;
    bool seen;
  };
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> indices_, others_;
  std::vector<bool> seen_wanted_;
  std::vector<std::string> names_;
};

class RowSource {
 public:
  virtual ~RowSource() = default;
  // Fills `cells`, parallel to the columns asked for. False at the end. After a BadRow the next call goes on.
  virtual bool next(std::vector<Cell>& cells) = 0;
};

// By the file's extension: .jsonl (an object a line), .json (an array of objects, or as .jsonl), .csv (RFC
// 4180 with a header row). `columns` outlives the source.
std::unique_ptr<RowSource> open_rows(const std::filesystem::path& path, ColumnPicker& columns);

std::unique_ptr<RowSource> open_json_rows(const std::filesystem::path& path, ColumnPicker& columns);
std::unique_ptr<RowSource> open_csv_rows(const std::filesystem::path& path, ColumnPicker& columns);

}  // namespace anneal
