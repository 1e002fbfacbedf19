#include "data/dataset_folder.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShownNames = 5;

bool has_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

std::string joined(const std::vector<std::string>& names, std::size_t shown) {
  std::string text;
  for (std::size_t index = 0; index < std::min(names.size(), shown); ++index)
    text += (index == 0 ? "" : ", ") + names[index];
  if (names.size() > shown) text += " and " + std::to_string(names.size() - shown) + " more";
  return text;
}

[[noreturn]] void fail_no_split(const DatasetPlace& place, const std::string& available) {
  fail(ExitCode::kData, "there is no split \"" + place.split + "\" in " + place.name, "--hfdc_split",
       "name one of: " + available);
}

// The splits of a saved dictionary of datasets, each in a folder of its own.
std::vector<std::string> saved_splits(const fs::path& folder) {
  const auto path = folder / "dataset_dict.json";
  const Json json = read_json_file(path, ExitCode::kData);
  if (!json.is_object() || !json.contains("splits") || !json["splits"].is_array())
    fail(ExitCode::kData, "names no splits", path.string(), "save the dataset again");
  std::vector<std::string> splits;
  for (const auto& split : json["splits"])
    if (split.is_string()) splits.push_back(split);
  return splits;
}

std::vector<RowFile> saved_files(const fs::path& folder) {
  const auto path = folder / "state.json";
  const Json state = read_json_file(path, ExitCode::kData);
  const auto refuse = [&](const std::string& problem, const std::string& remedy) {
    fail(ExitCode::kData, problem, path.string(), remedy);
  };
  if (!state.is_object() || !state.contains("_data_files") || !state["_data_files"].is_array())
    refuse("names no data files", "save the dataset again");
  if (state.contains("_indices_data_files") && !state["_indices_data_files"].empty())
    refuse("the dataset was saved with a list of chosen rows, as older versions did",
           "load it, call flatten_indices() and save it again");
  std::vector<RowFile> files;
  for (const auto& file : state["_data_files"]) {
    const bool is_named = file.is_object() && file.contains("filename") && file["filename"].is_string();
    const auto name = is_named ? file["filename"].get<std::string>() : "";
    if (name.empty() || name.find('/') != name.npos)
      refuse("names a file outside of its folder", "save the dataset again");
    files.push_back({folder / name, FileKind::kArrow});
  }
  return files;
}

}  // namespace

std::vector<std::string> names_in_folder(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_regular_file(ignored))
      names.push_back(entry->path().lexically_relative(folder).generic_string());
  }
  if (error)
    fail(ExitCode::kUsage, "cannot list the folder: " + error.message(), folder.string(),
         "check its permissions");
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<SourceFiles> saved_dataset(const fs::path& folder, const DatasetPlace& place) {
  if (has_file(folder / "dataset_dict.json")) {
    const auto splits = saved_splits(folder);
    if (std::find(splits.begin(), splits.end(), place.split) == splits.end())
      fail_no_split(place, joined(splits, splits.size()));
    return SourceFiles{saved_files(folder / place.split)};
  }
  if (!has_file(folder / "state.json") || !has_file(folder / "dataset_info.json")) return std::nullopt;
  if (place.split != "train") fail_no_split(place, "train");  // a dataset saved alone has no other
  return SourceFiles{saved_files(folder)};
}

DatasetLayout layout_of(const fs::path& card, const std::vector<std::string>& names,
                        const DatasetPlace& place) {
  std::vector<DatasetConfig> configs;
  if (has_file(card)) configs = read_dataset_card(read_file(card, ExitCode::kData), card.string());
  return resolve_layout(names, choose_config(configs, place.config, place.name), place.split, place.name);
}

SourceFiles source_of(const fs::path& folder, const std::vector<std::string>& names,
                      const DatasetLayout& layout, const DatasetPlace& place) {
  SourceFiles source;
  if (!layout.by_library.empty()) {
    source.by_library = LibraryLoad{folder, place.config, place.split};
    for (const auto& name : names) source.files.push_back({folder / name});
    source.notices.push_back("the rows come through the `datasets` library, which is slower: " +
                             layout.by_library);
    return source;
  }
  for (auto file : layout.files) {
    file.path = folder / file.path;
    source.files.push_back(std::move(file));
  }
  if (!layout.left_out.empty())
    source.notices.push_back("left out, not of the split \"" + place.split +
                             "\" or of another kind: " + joined(layout.left_out, kShownNames));
  return source;
}

}  // namespace anneal
