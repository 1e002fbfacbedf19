#include "checkpoint/conversion_record.h"

#include <system_error>

#include "base/file.h"
#include "base/folder_entries.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

Json hashes_of(const std::vector<ConversionInput>& inputs) {
  Json hashes = Json::object();
  for (const auto& [name, path] : inputs) hashes[name] = sha256_hex_of_file(path, ExitCode::kModel);
  return hashes;
}

// The first key at which two objects differ, or "".
std::string first_difference(const Json& a, const Json& b) {
  for (const auto& [key, value] : a.items())
    if (!b.contains(key) || b[key] != value) return key;
  for (const auto& [key, value] : b.items())
    if (!a.contains(key)) return key;
  return "";
}

std::string lost_file(const fs::path& folder, const Json& files) {
  for (const auto& [name, size] : files.items()) {
    std::error_code error;
    const auto bytes = fs::file_size(folder / name, error);
    if (error || Json(bytes) != size) return name;
  }
  return "";
}

}  // namespace

OutputState look_at_output(const fs::path& folder, const Json& options,
                           const std::vector<ConversionInput>& inputs, std::string& difference) {
  if (!fs::exists(folder) || (fs::is_directory(folder) && fs::is_empty(folder))) return OutputState::kFree;
  if (!fs::exists(folder / kConversionRecord)) return OutputState::kForeign;
  const Json record = read_json_file(folder / kConversionRecord, ExitCode::kModel);
  for (const char* part : {"options", "inputs", "files"})
    if (!record.is_object() || !record.contains(part) || !record[part].is_object())
      return OutputState::kForeign;
  // What costs nothing goes first; hashing a large base takes a while.
  difference = first_difference(options, record["options"]);
  if (difference.empty()) difference = lost_file(folder, record["files"]);
  if (difference.empty()) difference = first_difference(hashes_of(inputs), record["inputs"]);
  return difference.empty() ? OutputState::kUpToDate : OutputState::kOther;
}

void write_conversion_record(const fs::path& folder, const Json& options,
                             const std::vector<ConversionInput>& inputs) {
  Json files = Json::object();
  for (const auto& file : files_below(folder)) files[file.string()] = fs::file_size(folder / file);
  const Json record = {{"version", 1}, {"options", options}, {"inputs", hashes_of(inputs)}, {"files", files}};
  write_file_atomically(folder / kConversionRecord, record.dump(2) + "\n");
}

}  // namespace anneal
