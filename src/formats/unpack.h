// Files that are compressed as a whole.
#pragma once
#include <filesystem>
#include <string_view>

#include "base/nameless_file.h"

namespace anneal {

// By the extension: .gz or .zst, lower or upper case.
bool is_packed(const std::filesystem::path& path);

// Appends to `out` what `packed`, the content of a file that is_packed(), holds. Memory stays flat. Throws
// UserError(kData) for a damaged one.
void unpack(std::string_view packed, const std::filesystem::path& path, NamelessFile& out);

}  // namespace anneal
