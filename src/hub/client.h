// What is not in the Hub's cache, fetched by the Hub's own client, the command `hf`.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "hub/repository.h"

namespace anneal {

using HubLog = std::function<void(const std::string&)>;

// The names of all files of the repository. Here and below the client reads HF_ENDPOINT and HF_TOKEN itself.
// Throws UserError: kUsage for a repository that is missing, gated or not to be asked for offline, and where
// `hf` is not installed; kDistributed where the Hub does not answer; kResources where the disk is full.
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
