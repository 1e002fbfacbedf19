#include "base/nearest.h"

#include <algorithm>
#include <vector>

#include "base/folder_entries.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t column = 0; column <= b.size(); ++column) row[column] = column;
  for (std::size_t line = 1; line <= a.size(); ++line) {
    std::size_t diagonal = row[0];
    row[0] = line;
    for (std::size_t column = 1; column <= b.size(); ++column) {
      const std::size_t replaced = diagonal + (a[line - 1] != b[column - 1]);
      diagonal = row[column];
      row[column] = std::min({row[column] + 1, row[column - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest_name(std::string_view name, std::span<const std::string> candidates) {
  std::string nearest;
  std::size_t allowed = name.size() / 3 + 1;  // further away is no misspelling
  for (const auto& candidate : candidates) {
    const auto distance = edit_distance(name, candidate);
    if (distance > allowed || distance >= std::max(name.size(), candidate.size())) continue;
    nearest = candidate;
    allowed = distance - (distance > 0);
  }
  return nearest;
}

std::string nearest_path(const fs::path& path) {
  fs::path found;
  std::error_code error;
  bool is_mended = false;
  for (const auto& part : path) {
    auto next = found / part;
    if (!fs::exists(next, error)) {
      std::vector<std::string> names;
      for (const auto& entry : entries_of(found.empty() ? "." : found))
        names.push_back(entry.filename().string());
      const auto name = nearest_name(part.string(), names);
      if (name.empty()) return "";
      next = found / name;
      is_mended = true;
    }
    found = next;
  }
  return is_mended && fs::exists(found, error) ? found.string() : "";
}

}  // namespace anneal
