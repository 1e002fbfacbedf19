// Patterns of paths inside a folder, as the `datasets` library reads them.
#pragma once
#include <string>
#include <string_view>

namespace anneal {

bool has_wildcard(std::string_view text);

// Both relative, with "/". "*", "?" and "[...]" stay inside a name, "**" as a whole name stands for any
// number of folders. Names that begin with a dot, and folders that begin with two underscores, match only
// where the pattern has as many of them.
bool matches_pattern(std::string_view pattern, std::string_view path);

}  // namespace anneal
