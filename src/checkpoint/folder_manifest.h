// manifest.json: what a saved folder holds, whose it is, and the proof that it is complete.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "dist/process_group.h"

namespace anneal {

struct FolderManifest {
  std::string run_id;  // "" in folders of versions that had none
  std::int64_t step = 0;
};

// Lists size and SHA-256 of every file that lies in the folder; to be written last. The ranks of `group`
// share the hashing.
void write_folder_manifest(const FolderManifest& manifest, const std::filesystem::path& folder,
                           ProcessGroup& group);

// What the folder's manifest says; nothing where there is none that can be read and says that it is complete.
std::optional<FolderManifest> read_folder_manifest(const std::filesystem::path& folder);

// Holds every file against the manifest. Throws UserError(kModel) that names the first file at fault.
void require_manifest_holds(const std::filesystem::path& folder);

}  // namespace anneal
