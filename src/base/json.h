// JSON files: reading with the duplicate-key check that nlohmann lacks, and stable writing.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace anneal {

using Json = nlohmann::json;  // keys sorted, so that what is written is deterministic
using OrderedJson = nlohmann::ordered_json;

// Throws UserError(code) naming `where` and the byte offset; refuses duplicate keys and nesting over 100
// levels.
Json parse_json(std::string_view text, const std::string& where, ExitCode code);
OrderedJson parse_ordered_json(std::string_view text, const std::string& where, ExitCode code);
Json read_json_file(const std::filesystem::path& path, ExitCode code);

// Whether the value is one of type T. nlohmann itself would take true or 2.5 for an integer.
template <class T>
bool is_of_type(const Json& value) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) return value.is_number_integer();
  if constexpr (std::is_floating_point_v<T>) return value.is_number();
  return true;  // get() itself tells
}

// The value of `key`; throws UserError(code) when it is missing, null or of another type.
template <class T>
T required(const Json& object, const char* key, const std::string& where, ExitCode code) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null())
    fail(code, std::string("the key \"") + key + "\" is missing", where, "use a complete file");
  try {
    if (is_of_type<T>(*found)) return found->template get<T>();
  } catch (const nlohmann::json::exception&) {  // told below
  }
  fail(code, std::string("the key \"") + key + "\" has the wrong type: " + found->dump(), where,
       "use a complete, unmodified file");
}

// The value of `key`, or `fallback` where it is missing or null; a value of another type throws as above.
template <class T>
T optional(const Json& object, const char* key, T fallback, const std::string& where, ExitCode code) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return fallback;
  return required<T>(object, key, where, code);
}

}  // namespace anneal
