#include "data/prepare.h"

#include <unistd.h>

#include <algorithm>
#include <future>
#include <optional>
#include <random>

#include <fmt/format.h>

#include "base/file.h"
#include "data/build_data.h"
#include "data/data_folder.h"
#include "data/dataset_mix.h"
#include "data/folder_lock.h"
#include "data/manifest.h"
#include "data/path_pattern.h"
#include "data/source_files.h"
#include "formats/jsonl.h"
#include "hub/repository.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolderRemedy = "name another folder with --data_dir";

enum class FolderState { kAbsent, kReady, kDamaged, kOther };

[[noreturn]] void fail_folder(const std::string& problem, const fs::path& path,
                              const std::error_code& error) {
  const bool full = error == std::errc::no_space_on_device;
  fail(full ? ExitCode::kResources : ExitCode::kUsage, problem + ": " + error.message(), path.string(),
       full ? "free disk space, or " + std::string(kFolderRemedy) : kFolderRemedy);
}

PreparedData describe_folder(const fs::path& folder, const Manifest& manifest) {
  PreparedData data;
  data.folder = folder;
  data.training = folder / kTrainingFile;
  data.validation = folder / kValidationFile;
  data.test = folder / kTestFile;
  data.training_rows = manifest.training.rows;
  data.validation_rows = manifest.validation.rows;
  data.test_rows = manifest.test.rows;
  data.dropped = manifest.dropped;
  data.null_fields = manifest.null_fields;
  data.skipped_rows = manifest.skipped_rows;
  data.datasets = manifest.datasets;
  data.data_sha256 = manifest.data_sha256();
  std::uint64_t bytes = 0;
  for (const auto& file : manifest.source) bytes += file.bytes;
  if (manifest.recipe.is_object())
    data.source = fmt::format("{}, split {}, {} file{}, {} bytes",
                              manifest.recipe.at("dataset_name").get_ref<const std::string&>(),
                              manifest.recipe.at("split").get_ref<const std::string&>(),
                              manifest.source.size(), manifest.source.size() == 1 ? "" : "s", bytes);
  return data;
}

PreparedData reuse(const fs::path& folder, const Manifest& manifest, const DatasetOptions& options) {
  if (manifest.skipped_rows > options.skip_bad_rows)
    fail(ExitCode::kData,
         fmt::format("the data was built leaving out {} rows that could not be read", manifest.skipped_rows),
         folder.string(), fmt::format("allow that again with --skip_bad_rows {}", manifest.skipped_rows));
  auto data = describe_folder(folder, manifest);
  data.reused = true;
  return data;
}

DataFile measure_foreign(const fs::path& path, std::int64_t skip_bad_rows, std::int64_t& skipped) {
  std::error_code error;
  if (!fs::exists(path, error)) return {.sha256 = sha256_hex("")};
  DataRowReader reader(path, skip_bad_rows);
  DataRow pair;
  std::int64_t rows = 0;
  while (reader.next(pair)) ++rows;
  skipped += reader.bad_rows().skipped();
  return measure(path, rows);
}

PreparedData use_foreign(const fs::path& folder, const DatasetOptions& options, const Log& log) {
  std::error_code error;
  if (fs::exists(folder / kManifestName, error))
    log("warning: " + (folder / kManifestName).string() + " does not say what the data was made from");
  if (options.describes_dataset)
    log("note: " + folder.string() + " holds data of its own; the --hfdc_ flags are not used");
  Manifest manifest;
  manifest.training = measure_foreign(folder / kTrainingFile, options.skip_bad_rows, manifest.skipped_rows);
  manifest.validation =
      measure_foreign(folder / kValidationFile, options.skip_bad_rows, manifest.skipped_rows);
  manifest.test = measure_foreign(folder / kTestFile, options.skip_bad_rows, manifest.skipped_rows);
  if (manifest.training.rows == 0)
    fail(ExitCode::kData, "there is nothing to train on", (folder / kTrainingFile).string(),
         "put at least one {\"input\": ..., \"output\": ...} line there");
  auto data = describe_folder(folder, manifest);
  data.source = "placed by the user";
  data.foreign = data.reused = true;
  return data;
}

std::vector<MixedDataset> checked_datasets(const DatasetOptions& options) {
  std::vector<Problem> problems;
  auto datasets = datasets_of(options, problems);
  if (!problems.empty()) throw UserError(ExitCode::kUsage, problems);
  return datasets;
}

bool is_here(const DatasetOptions& options) {
  const auto datasets = checked_datasets(options);
  return std::all_of(datasets.begin(), datasets.end(), [&](const MixedDataset& dataset) {
    const auto& name = dataset.name;
    std::error_code error;
    return fs::exists(name, error) || has_wildcard(name) ||
           (is_hub_id(name) && cached_snapshot({RepositoryKind::kDataset, name, options.hfdc_revision}));
  });
}

// What --data_dir holds, where it is to be taken without looking at a source.
std::optional<PreparedData> use_data_dir(const fs::path& folder, const DatasetOptions& options,
                                         std::uint64_t seed, const Log& log) {
  std::error_code error;
  if (options.force_data || !fs::exists(folder / kTrainingFile, error)) return std::nullopt;
  const auto manifest = read_manifest(folder);
  if (!manifest) return use_foreign(folder, options, log);
  const bool source_is_elsewhere = !is_here(options) && manifest->recipe == recipe_of(options, seed);
  if (options.describes_dataset && !source_is_elsewhere) return std::nullopt;
  if (source_is_elsewhere)
    log("note: the source of " + folder.string() + " is not here, so it is not compared");
  if (const auto file = damaged_file(folder, *manifest); !file.empty())
    fail(ExitCode::kData, "the file is not as it was written", (folder / file).string(),
         "copy the folder again, or build it with --force_data and the --hfdc_ flags");
  return reuse(folder, *manifest, options);
}

std::vector<SourceFile> hash_sources(const std::vector<SourceFiles>& sources) {
  std::vector<SourceFile> hashed;
  for (const auto& source : sources)
    for (const auto& row : source.files) {
      const auto file = measure(row.path, 0);
      const bool is_odd = row.kind == FileKind::kCsv && row.delimiter != row_file(row.path).delimiter;
      hashed.push_back(
          {row.path.string(), file.bytes, file.sha256, is_odd ? std::string(1, row.delimiter) : ""});
    }
  return hashed;
}

// The manifest of what is to be built. The source is hashed on another thread, while rows may already be
// read.
class WantedData {
 public:
  WantedData(Json recipe, const std::vector<SourceFiles>& sources)
      : hashing_(std::async(std::launch::async, [&sources] { return hash_sources(sources); })) {
    manifest_.recipe = std::move(recipe);
  }

  const Manifest& manifest() {
    if (hashing_.valid()) manifest_.source = hashing_.get();
    return manifest_;
  }
  const Json& recipe() const { return manifest_.recipe; }

 private:
  Manifest manifest_;
  std::future<std::vector<SourceFile>> hashing_;
};

FolderState inspect(const fs::path& folder, WantedData& wanted) {
  std::error_code error;
  const auto status = fs::status(folder, error);
  if (status.type() == fs::file_type::not_found) return FolderState::kAbsent;
  if (error) fail_folder("cannot look into the folder", folder, error);
  if (!fs::is_directory(status)) return FolderState::kOther;
  if (fs::is_empty(folder, error)) return FolderState::kAbsent;
  const auto manifest = read_manifest(folder);
  if (!manifest || manifest->spec_sha256() != wanted.manifest().spec_sha256()) return FolderState::kOther;
  return damaged_file(folder, *manifest).empty() ? FolderState::kReady : FolderState::kDamaged;
}

std::string temporary_prefix(const fs::path& folder) { return folder.filename().string() + ".tmp-"; }

fs::path temporary_sibling(const fs::path& folder) {
  return folder.parent_path() /
         (temporary_prefix(folder) + fmt::format("{}-{:08x}", ::getpid(), std::random_device{}()));
}

// Only under the lock: whatever matches belongs to a process that died.
void remove_leftovers(const fs::path& folder) {
  std::error_code error;
  const auto parent = folder.parent_path().empty() ? fs::path(".") : folder.parent_path();
  for (const auto& entry : fs::directory_iterator(parent, error))
    if (entry.path().filename().string().starts_with(temporary_prefix(folder)))
      fs::remove_all(entry.path(), error);
}

// Puts `built` in the place of `folder`, which may hold an older build.
void install(const fs::path& built, const fs::path& folder) {
  std::error_code error;
  const auto aside = temporary_sibling(folder);
  const bool replaces = fs::exists(folder, error) && !fs::is_empty(folder, error);
  if (replaces) fs::rename(folder, aside, error);
  if (!error) fs::rename(built, folder, error);
  if (error) fail_folder("cannot put the data in its place", folder, error);
  sync_folder(folder.parent_path());
  if (replaces) fs::remove_all(aside, error);
}

PreparedData build(const BuildInput& input, const fs::path& folder, WantedData& wanted, const Log& log) {
  remove_leftovers(folder);
  const auto target = temporary_sibling(folder);
  std::error_code error;
  fs::create_directory(target, error);
  if (error) fail_folder("cannot create the folder", target, error);
  Manifest manifest;
  manifest.recipe = wanted.recipe();
  try {
    build_data(input, target, manifest, log);
    manifest.source = wanted.manifest().source;
    write_manifest(target, manifest);
    install(target, folder);
  } catch (...) {
    fs::remove_all(target, error);
    throw;
  }
  return describe_folder(folder, manifest);
}

// Nothing where the folder holds something else.
std::optional<PreparedData> reuse_or_build(const BuildInput& input, const fs::path& folder,
                                           WantedData& wanted, const Log& log) {
  const auto& options = input.options;
  const auto ready = [&](FolderState state) { return state == FolderState::kReady && !options.force_data; };
  const auto replaceable = [&] { return options.force_data && read_manifest(folder).has_value(); };
  // Readiness needs no lock: a folder appears complete or not at all.
  const auto first_look = inspect(folder, wanted);
  if (ready(first_look)) return reuse(folder, *read_manifest(folder), options);
  if (first_look == FolderState::kOther && !replaceable()) return std::nullopt;
  std::error_code error;
  if (!folder.parent_path().empty()) fs::create_directories(folder.parent_path(), error);
  if (error) fail_folder("cannot create the folder", folder.parent_path(), error);
  const FolderLock lock(folder, log);
  const auto state = inspect(folder, wanted);
  if (ready(state)) return reuse(folder, *read_manifest(folder), options);
  if (state == FolderState::kOther && !replaceable()) return std::nullopt;
  if (state == FolderState::kDamaged) log("warning: " + folder.string() + " is damaged and is built again");
  return build(input, folder, wanted, log);
}

// Data that lies where the Python program of old would have put it.
std::optional<PreparedData> reuse_other_spelling(const DatasetOptions& options, WantedData& wanted,
                                                 const Log& log) {
  if (!options.data_dir.empty() || options.force_data) return std::nullopt;
  const auto ratios = std::pair(options.hfdc_train_split_ratio, options.hfdc_val_test_split_ratio);
  const auto folder = default_data_folder(name_of(checked_datasets(options)), options.hfdc_dataset_config,
                                          ratios.first, ratios.second)
                          .replace_filename(whole_percent_folder_name(ratios.first, ratios.second));
  if (inspect(folder, wanted) != FolderState::kReady) return std::nullopt;
  log("note: taking the data in " + folder.string());
  return reuse(folder, *read_manifest(folder), options);
}

fs::path chosen_folder(const DatasetOptions& options) {
  if (options.data_dir.empty())
    return default_data_folder(name_of(checked_datasets(options)), options.hfdc_dataset_config,
                               options.hfdc_train_split_ratio, options.hfdc_val_test_split_ratio);
  auto folder = fs::path(options.data_dir).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // a trailing slash
  std::error_code error;
  const auto status = fs::status(folder, error);
  if (error && status.type() != fs::file_type::not_found)
    fail_folder("cannot open the folder", folder, error);
  if (fs::exists(status) && !fs::is_directory(status))
    fail(ExitCode::kUsage, "there is a file in the place of the folder", folder.string(), kFolderRemedy);
  // A rename replaces a link, not what it points to.
  return fs::is_symlink(folder, error) ? fs::weakly_canonical(folder, error) : folder;
}

}  // namespace

PreparedData prepare_data(const DatasetOptions& options, std::uint64_t seed, const Log& log) {
  const auto folder = chosen_folder(options);
  if (!options.data_dir.empty())
    if (auto data = use_data_dir(folder, options, seed, log)) return *data;
  BuildInput input{options, options.split_seed_or(seed), checked_datasets(options), {}};
  for (const auto& dataset : input.datasets) {
    auto found = find_source_files({dataset.name, options.hfdc_dataset_config, options.hfdc_split,
                                    options.hfdc_revision, options.offline},
                                   log);
    for (const auto& notice : found.notices) log("note: " + notice);
    input.sources.push_back(std::move(found));
  }
  WantedData wanted(recipe_of(options, seed), input.sources);
  if (auto data = reuse_other_spelling(options, wanted, log)) return *data;
  if (auto data = reuse_or_build(input, folder, wanted, log)) return *data;
  const fs::path other = folder.string() + "+" + wanted.manifest().spec_sha256().substr(0, 8);
  log("note: " + folder.string() + " holds other data; this goes to " + other.string());
  if (auto data = reuse_or_build(input, other, wanted, log)) return *data;
  fail(ExitCode::kUsage, "the folder holds something that this program did not write", other.string(),
       "move it away, or name a folder with --data_dir");
}

}  // namespace anneal
