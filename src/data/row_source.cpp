#include "data/row_source.h"

namespace anneal {

ColumnPicker::ColumnPicker(const std::vector<std::string>& wanted) : seen_wanted_(wanted.size()) {
  for (std::size_t index = 0; index < wanted.size(); ++index)
    indices_.emplace(wanted[index], Entry{static_cast<int>(index), false});
}

int ColumnPicker::index_of(std::string_view name) {
  if (const auto found = indices_.find(name); found != indices_.end()) {
    auto& [index, seen] = found->second;
    if (!seen) {
      seen = true;
      seen_wanted_[index] = true;
      names_.emplace_back(name);
    }
    return index;
  }
  if (others_.size() < kMaximumNames && !others_.contains(name)) {
    others_.emplace(name, Entry{-1, true});
    names_.emplace_back(name);
  }
  return -1;
}

std::unique_ptr<RowSource> open_rows(const std::filesystem::path& path, ColumnPicker& columns) {
  return path.extension() == ".csv" ? open_csv_rows(path, columns) : open_json_rows(path, columns);
}

}  // namespace anneal
