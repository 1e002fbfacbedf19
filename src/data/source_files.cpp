#include "data/source_files.h"

#include <algorithm>

#include "base/error.h"
#include "base/nearest.h"
#include "data/dataset_folder.h"
#include "data/hub_dataset.h"
#include "data/path_pattern.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNameFlag = "--hfdc_dataset_name";

// A file or the files of a pattern.
void require_no_parts(const DatasetPlace& place) {
  if (!place.config.empty() && place.config != "default")
    fail(ExitCode::kUsage, "a file has no subset \"" + place.config + "\"", "--hfdc_dataset_config",
         "leave the flag out, or name the file of the subset");
  if (place.split != "train")
    fail(ExitCode::kData, "there is no split \"" + place.split + "\" in " + place.name, "--hfdc_split",
         "name one of: train");
}

RowFile readable_file(const fs::path& path) {
  const auto file = row_file(path);
  if (file.kind == FileKind::kNone)
    fail(ExitCode::kUsage,
         is_for_the_library(path) ? "this kind of file is not read: " + path.extension().string()
                                  : "the kind of the file cannot be told from its name",
         path.string(), "give " + std::string(kReadableKinds));
  return file;
}

// The folder before the first name with a wildcard, and the rest.
std::pair<fs::path, std::string> split_at_wildcard(const std::string& pattern) {
  fs::path folder, rest;
  for (const auto& name : fs::path(pattern))
    (rest.empty() && !has_wildcard(name.string()) ? folder : rest) /= name;
  return {folder.empty() ? fs::path(".") : folder, rest.generic_string()};
}

SourceFiles files_of_pattern(const DatasetPlace& place) {
  require_no_parts(place);
  const auto [folder, pattern] = split_at_wildcard(place.name);
  std::error_code error;
  SourceFiles source;
  if (fs::is_directory(folder, error))
    for (const auto& name : names_in_folder(folder))
      if (matches_pattern(pattern, name))
        source.files.push_back(readable_file((folder / name).lexically_normal()));
  if (source.files.empty())
    fail(ExitCode::kUsage, "no file matches the pattern", place.name, "check " + std::string(kNameFlag));
  return source;
}

SourceFiles files_of_folder(const DatasetPlace& place) {
  const fs::path folder = place.name;
  if (auto saved = saved_dataset(folder, place)) return *saved;
  const auto names = names_in_folder(folder);
  return source_of(folder, names, layout_of(folder / "README.md", names, place), place);
}

}  // namespace

void check_dataset_name(const std::string& name) {
  std::error_code error;
  if (fs::exists(name, error) || has_wildcard(name)) return;
  if (row_file(name).kind == FileKind::kNone && is_hub_id(name)) return;
  const auto nearest = nearest_path(name);
  fail(ExitCode::kUsage, "there is no such file or folder", name,
       nearest.empty() ? "check the path of " + std::string(kNameFlag) : "did you mean " + nearest + "?");
}

SourceFiles find_source_files(const DatasetPlace& place, const std::function<void(const std::string&)>& log) {
  std::error_code error;
  const auto status = fs::status(place.name, error);
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
    fail(ExitCode::kUsage, "cannot open: " + error.message(), place.name,
         "check the path of " + std::string(kNameFlag));
  if (fs::is_directory(status)) return files_of_folder(place);
  if (fs::exists(status)) {
    auto file = readable_file(place.name);
    require_no_parts(place);
    return {{std::move(file)}, {}, {}};
  }
  if (has_wildcard(place.name)) return files_of_pattern(place);
  check_dataset_name(place.name);
  return hub_dataset(place, log);
}

}  // namespace anneal
