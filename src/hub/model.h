// The folder of a model that is named by a path or by an id of the Hub.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "hub/client.h"

namespace anneal {

// Where a model keeps chat templates beside its chat_template.jinja; a file's name is its template's.
constexpr const char* kMoreChatTemplates = "additional_chat_templates";

// The chat templates of a model that are files of their own, relative to its folder.
std::vector<std::filesystem::path> chat_template_files(const std::filesystem::path& folder);

enum class ModelPart { kConfig, kTokenizer, kWhole };  // kWhole: config, tokenizer and weights

struct ModelName {
  std::string path_or_id;
  std::string revision = "main";  // of an id
};

// Where the model lies, without any network: the folder itself, or the snapshot of the id in the Hub's cache.
// Empty where all of `part` is not there.
std::filesystem::path find_model(const ModelName& model, ModelPart part);

// A mistake in the name that can be seen without the network.
void check_model_name(const std::string& path_or_id, const std::string& flag, std::vector<Problem>& problems);

// find_model(), after downloading what is missing. Throws UserError as the client does, and kUsage where the
// network is off.
std::filesystem::path fetch_model(const ModelName& model, ModelPart part, bool is_offline, const HubLog& log);

}  // namespace anneal
