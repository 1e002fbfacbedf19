#include "data/row_source.h"

#include <algorithm>

#include "data/arrow_rows.h"
#include "formats/utf8.h"

namespace anneal {
namespace {

std::vector<std::string> split_at_dots(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const auto end = std::min(text.find('.', start), text.size());
    parts.emplace_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

}  // namespace

ColumnPicker::ColumnPicker(const std::vector<std::string>& wanted) : found_(wanted.size()) {
  for (int index = 0; index < static_cast<int>(wanted.size()); ++index) {
    const std::string_view name = wanted[index];
    columns_[wanted[index]].uses.push_back({index, {}});
    for (auto dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1))
      columns_[std::string(name.substr(0, dot))].uses.push_back({index, split_at_dots(name.substr(dot + 1))});
  }
}

const std::vector<ColumnUse>& ColumnPicker::uses_of(std::string_view column) {
  static const std::vector<ColumnUse> kNone;
  const auto found = columns_.find(column);
  if (found != columns_.end() && found->second.seen) return found->second.uses;
  if (found == columns_.end() && names_.size() >= kMaximumNames) return kNone;
  names_.emplace_back(column);
  auto& entry = found != columns_.end() ? found->second : columns_[std::string(column)];
  entry.seen = true;
  return entry.uses;
}

void require_utf8(std::string_view text, const std::string& file, std::int64_t line, std::size_t offset) {
  const auto invalid = find_invalid_utf8(text);
  if (invalid == text.npos) return;
  const auto before = text.substr(0, invalid);
  throw BadRow("the bytes are not UTF-8",
               place_of(file, line + std::count(before.begin(), before.end(), '\n'), offset + invalid),
               "save the file as UTF-8, or allow some bad rows with --skip_bad_rows N");
}

std::unique_ptr<RowSource> open_rows(const RowFile& file, ColumnPicker& columns,
                                     const std::filesystem::path& scratch) {
  switch (file.kind) {
    case FileKind::kCsv:
      return open_csv_rows(file, columns, scratch);
    case FileKind::kText:
      return open_text_rows(file, columns, scratch);
    case FileKind::kParquet:
    case FileKind::kArrow:
      return open_arrow_rows(file, columns, scratch);
    default:
      return open_json_rows(file, columns, scratch);
  }
}

}  // namespace anneal
