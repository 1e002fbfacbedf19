#include "checkpoint/folder_manifest.h"

#include <map>
#include <system_error>
#include <vector>

#include "base/file.h"
#include "base/folder_entries.h"
#include "base/json.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "manifest.json";
constexpr const char* kRemedy = "use another checkpoint; this one is incomplete or changed";

// Throws UserError(kModel) where it does not say that the folder is complete.
Json manifest_of(const fs::path& folder) {
  const auto path = folder / kManifest;
  Json manifest = read_json_file(path, ExitCode::kModel);
  if (!manifest.is_object() || !optional<bool>(manifest, "complete", false, path.string(), ExitCode::kModel))
    fail(ExitCode::kModel, "does not say that the checkpoint is complete", path.string(), kRemedy);
  return manifest;
}

void require_listed_file(const fs::path& path, const Json& entry, const std::string& where) {
  const auto damaged = [&](const std::string& problem) {
    fail(ExitCode::kModel, problem, path.string(), kRemedy);
  };
  std::error_code error;
  const auto bytes = fs::file_size(path, error);
  if (error) damaged("is listed in manifest.json, but cannot be read: " + error.message());
  const auto wanted = required<std::uint64_t>(entry, "size", where, ExitCode::kModel);
  if (bytes != wanted)
    damaged("has " + std::to_string(bytes) + " bytes, manifest.json says " + std::to_string(wanted));
  if (sha256_hex_of_file(path, ExitCode::kModel) !=
      required<std::string>(entry, "sha256", where, ExitCode::kModel))
    damaged("does not have the SHA-256 that manifest.json says");
}

// Whether it names a file in the folder or one of its folders, and nothing elsewhere.
bool is_below(const fs::path& name) {
  return name.is_relative() && name.has_filename() && name == name.lexically_normal() &&
         *name.begin() != ".." && *name.begin() != ".";
}

// Every ranks-th file of the folder.
Json described_files(const fs::path& folder, int rank, int ranks) {
  const auto names = files_below(folder);
  Json files = Json::object();
  for (auto index = static_cast<std::size_t>(rank); index < names.size(); index += ranks) {
    const auto path = folder / names[index];
    files[names[index].string()] = {{"size", fs::file_size(path)},
                                    {"sha256", sha256_hex_of_file(path, ExitCode::kModel)}};
  }
  return files;
}

}  // namespace

void write_folder_manifest(const FolderManifest& manifest, const fs::path& folder, ProcessGroup& group) {
  Json own = Json::object();
  group.on_all([&] { own = described_files(folder, group.rank(), group.size()); });
  const auto all = group.all_gather_text(own.dump());
  group.on_root([&] {
    Json files = Json::object();
    for (const auto& text : all) files.update(Json::parse(text));
    const Json json = {{"version", 1},          {"run_id", manifest.run_id},
                       {"step", manifest.step}, {"world_size", group.size()},
                       {"files", files},        {"complete", true}};
    write_file_atomically(folder / kManifest, json.dump(2) + "\n");
  });
}

std::optional<FolderManifest> read_folder_manifest(const fs::path& folder) {
  try {
    const auto where = (folder / kManifest).string();
    const auto manifest = manifest_of(folder);
    return FolderManifest{optional<std::string>(manifest, "run_id", "", where, ExitCode::kModel),
                          required<std::int64_t>(manifest, "step", where, ExitCode::kModel)};
  } catch (const UserError&) {
    return std::nullopt;
  }
}

void require_manifest_holds(const fs::path& folder) {
  const auto where = (folder / kManifest).string();
  const auto files =
      required<std::map<std::string, Json>>(manifest_of(folder), "files", where, ExitCode::kModel);
  for (const auto& [name, entry] : files) {
    if (!is_below(name) || !entry.is_object())
      fail(ExitCode::kModel, "has no valid entry for \"" + name + "\"", where, kRemedy);
    require_listed_file(folder / name, entry, where);
  }
}

}  // namespace anneal
