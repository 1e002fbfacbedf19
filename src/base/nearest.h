// Names that a misspelt one may have meant.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace anneal {

// The candidate that takes the fewest changes of a character, "" where none is near.
std::string nearest_name(std::string_view name, std::span<const std::string> candidates);

// The path with its first part that does not exist replaced by a like one that does; "" where there is none.
std::string nearest_path(const std::filesystem::path& path);

}  // namespace anneal
