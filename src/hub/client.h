// What is not in the Hub's cache, fetched by the Hub's own client, the command `hf`.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hub/repository.h"

namespace anneal {

using HubLog = std::function<void(const std::string&)>;

// Downloads one file, and returns where it lies; nothing where the repository has no such file. Here and
// below the client reads HF_ENDPOINT and HF_TOKEN itself. Throws UserError: kUsage for a repository or
// revision that is missing, for a gated one, and where `hf` is not installed; kDistributed where the Hub does
// not answer; kResources where the disk is full.
std::optional<std::filesystem::path> download_one_file(const HubRepository& repository,
                                                       const std::string& name);

// The names of all files of the repository.
std::vector<std::string> list_hub_files(const HubRepository& repository);

struct HubSelection {
  std::vector<std::string> names;             // exactly these; or
  std::vector<std::string> include, exclude;  // patterns, where "*" stands for "/" too
};

// Downloads what is missing of the selection, and returns the folder of the snapshot. Progress goes to
// standard error.
std::filesystem::path download_from_hub(const HubRepository& repository, const HubSelection& selection,
                                        const HubLog& log);

// Uploads the folder into a model repository, which is made where it is not there. Throws UserError(kUsage)
// where `hf` is not installed and UserError(kResources) where it fails.
void upload_to_hub(const std::filesystem::path& folder, const std::string& repository);

}  // namespace anneal
