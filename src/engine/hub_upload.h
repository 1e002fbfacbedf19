// Uploads to the Hugging Face Hub, by its own command line client.
#pragma once
#include <filesystem>
#include <string>

namespace anneal {

// Runs `hf upload`, which reads HF_TOKEN and HF_ENDPOINT itself. Throws UserError(kUsage) where `hf` is not
// installed and UserError(kResources) where it fails.
void upload_to_hub(const std::filesystem::path& folder, const std::string& repository);

}  // namespace anneal
