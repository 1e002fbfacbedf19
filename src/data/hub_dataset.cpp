#include "data/hub_dataset.h"

#include <algorithm>
#include <regex>

#include "base/error.h"
#include "data/dataset_folder.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

// Whether files such as train-00000-of-00002.parquet are all there.
bool has_all_shards(const std::vector<RowFile>& files) {
  static const std::regex kShard(R"(.*-\d{5}-of-(\d{5})\..*)");
  for (const auto& file : files) {
    const auto name = file.path.filename().string();
    std::smatch match;
    if (!std::regex_match(name, match, kShard)) continue;
    const auto of = "-of-" + match[1].str();
    const auto count = std::count_if(files.begin(), files.end(), [&](const auto& other) {
      return other.path.filename().string().find(of) != std::string::npos;
    });
    if (count < std::stoll(match[1])) return false;
  }
  return true;
}

// What lies in the cache, where it is all of the split.
std::optional<SourceFiles> cached_source(const HubRepository& repository, const DatasetPlace& place) {
  const auto folder = cached_snapshot(repository);
  if (!folder) return std::nullopt;
  const auto known = cached_file_names(repository);
  const auto names = known ? *known : names_in_folder(*folder);
  auto source = source_of(*folder, names, layout_of(*folder / "README.md", names, place), place);
  std::error_code error;
  const bool is_whole = std::all_of(source.files.begin(), source.files.end(),
                                    [&](const auto& file) { return fs::is_regular_file(file.path, error); });
  return is_whole && (known || has_all_shards(source.files)) ? std::optional(source) : std::nullopt;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string script_of(const std::string& id) { return id.substr(id.find('/') + 1) + ".py"; }

SourceFiles downloaded_source(const HubRepository& repository, const DatasetPlace& place, const HubLog& log) {
  // The card says which other files are wanted.
  const auto card = download_one_file(repository, "README.md").value_or(fs::path());
  const auto names = list_hub_files(repository);
  const auto layout = [&] {
    try {
      return layout_of(card, names, place);
    } catch (const UserError&) {
      if (!has(names, script_of(place.name))) throw;
      fail(ExitCode::kData,
           "the dataset is made by a program of its own, " + script_of(place.name) + ", which is never run",
           place.name, "try --hfdc_revision refs/convert/parquet, or name another dataset");
    }
  }();
  auto wanted = layout.by_library.empty() ? std::vector<std::string>() : names;
  for (const auto& file : layout.files)
    if (layout.by_library.empty()) wanted.push_back(file.path.generic_string());
  return source_of(download_from_hub(repository, {wanted, {}, {}}, log), names, layout, place);
}

}  // namespace

SourceFiles hub_dataset(const DatasetPlace& place, const HubLog& log) {
  const HubRepository repository{RepositoryKind::kDataset, place.name, place.revision};
  const bool is_offline = place.is_offline || is_hub_offline();
  try {
    if (auto source = cached_source(repository, place)) return *source;
  } catch (const UserError&) {
    if (is_offline) throw;  // online, the repository may have more than the cache
  }
  if (!is_offline) return downloaded_source(repository, place, log);
  fail(ExitCode::kUsage,
       "\"" + place.name + "\" is no local file or folder, not in the hub's cache, and the network is off",
       "--hfdc_dataset_name (" + hub_cache().string() + ")",
       "download it where the network is on: hf download --repo-type dataset " + place.name +
           "; or name another, such as a file, with --hfdc_dataset_name");
}

}  // namespace anneal
