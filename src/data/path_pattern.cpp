#include "data/path_pattern.h"

#include <fnmatch.h>

#include <algorithm>
#include <span>
#include <vector>

namespace anneal {
namespace {

using Names = std::vector<std::string>;

Names names_of(std::string_view path) {
  Names names;
  for (std::size_t start = 0; start <= path.size();) {
    const auto end = std::min(path.find('/', start), path.size());
    if (const auto name = path.substr(start, end - start); name != "." && !name.empty())
      names.emplace_back(name);
    start = end + 1;
  }
  return names;
}

bool matches(std::span<const std::string> pattern, std::span<const std::string> path) {
  if (pattern.empty() || path.empty()) return pattern.empty() && path.empty();
  if (pattern[0] != "**")
    return ::fnmatch(pattern[0].c_str(), path[0].c_str(), FNM_NOESCAPE) == 0 &&
           matches(pattern.subspan(1), path.subspan(1));
  if (pattern.size() == 1) return true;
  for (std::size_t skipped = 0; skipped < path.size(); ++skipped)
    if (matches(pattern.subspan(1), path.subspan(skipped))) return true;
  return false;
}

std::int64_t hidden_names(const Names& names) {
  return std::count_if(names.begin(), names.end(),
                       [](const auto& name) { return name.starts_with('.') && name != ".."; });
}

std::int64_t special_folders(const Names& names) {
  return names.empty() ? 0 : std::count_if(names.begin(), names.end() - 1, [](const auto& name) {
    return name.starts_with("__");
  });
}

}  // namespace

bool has_wildcard(std::string_view text) { return text.find_first_of("*?[") != text.npos; }

bool matches_pattern(std::string_view pattern, std::string_view path) {
  const auto wanted = names_of(pattern), names = names_of(path);
  return matches(wanted, names) && hidden_names(wanted) == hidden_names(names) &&
         special_folders(wanted) == special_folders(names);
}

}  // namespace anneal
