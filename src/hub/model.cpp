#include "hub/model.h"

#include <algorithm>

#include "base/file.h"
#include "base/folder_entries.h"
#include "base/json.h"
#include "base/nearest.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

bool has(const fs::path& folder, const std::string& name) {
  std::error_code error;
  return fs::is_regular_file(folder / name, error);
}

bool is_chat_template(const fs::path& name) {
  return name == "chat_template.jinja" ||
         (name.parent_path() == kMoreChatTemplates && name.extension() == ".jinja");
}

bool has_all_weights(const fs::path& folder) {
  if (has(folder, "model.safetensors")) return true;
  if (!has(folder, "model.safetensors.index.json")) return false;
  try {
    const Json index = read_json_file(folder / "model.safetensors.index.json", ExitCode::kModel);
    for (const auto& [tensor, file] : index.at("weight_map").items())
      if (!has(folder, file)) return false;
    return true;
  } catch (const UserError&) {
    return true;  // who loads the model says what is wrong with the index
  } catch (const Json::exception&) {
    return true;
  }
}

bool is_there(const fs::path& folder, ModelPart part) {
  if (part == ModelPart::kConfig) return has(folder, "config.json");
  if (part == ModelPart::kTokenizer) return has(folder, "tokenizer.json");
  return has(folder, "config.json") && has(folder, "tokenizer.json") && has_all_weights(folder);
}

// What the model has on the Hub and the snapshot lacks, as far as the Hub's client has noted what there is.
bool lacks_chat_templates(const HubRepository& repository, const fs::path& snapshot) {
  const auto names = cached_file_names(repository);
  return names && std::any_of(names->begin(), names->end(), [&](const std::string& name) {
           return is_chat_template(name) && !has(snapshot, name);
         });
}

Problem no_such_model(const std::string& path_or_id, const std::string& where) {
  const auto nearest = nearest_path(path_or_id);
  return {"\"" + path_or_id + "\" is neither a folder nor the id of a model on the hub", where,
          nearest.empty() ? "give the path of a folder, or an id such as Qwen/Qwen3-0.6B"
                          : "did you mean " + nearest + "?"};
}

// Weights in other formats, and copies of them in folders, are not read.
HubSelection files_of(ModelPart part) {
  if (part == ModelPart::kConfig) return {{"config.json"}, {}, {}};
  HubSelection files{{}, {"*.json", "*.jinja", "merges.txt", "tokenizer.model"}, {"*/*"}};
  if (part == ModelPart::kWhole) {
    files.include.push_back("*.safetensors");
    files.exclude.push_back("consolidated*");
    return files;
  }
  files.exclude.push_back("*.index.json");
  return files;
}

}  // namespace

std::vector<fs::path> chat_template_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& within : {folder, folder / kMoreChatTemplates})
    for (const auto& entry : entries_of(within))
      if (const auto name = entry.lexically_relative(folder); is_chat_template(name) && has(folder, name))
        files.push_back(name);
  return files;
}

fs::path find_model(const ModelName& model, ModelPart part) {
  if (is_folder(model.path_or_id)) return model.path_or_id;
  if (!is_hub_id(model.path_or_id)) return {};
  const HubRepository repository{RepositoryKind::kModel, model.path_or_id, model.revision};
  const auto snapshot = cached_snapshot(repository);
  if (!snapshot || !is_there(*snapshot, part)) return {};
  return part != ModelPart::kConfig && lacks_chat_templates(repository, *snapshot) ? fs::path() : *snapshot;
}

void check_model_name(const std::string& path_or_id, const std::string& flag,
                      std::vector<Problem>& problems) {
  std::error_code error;
  if (fs::is_regular_file(path_or_id, error))
    problems.push_back(
        {"\"" + path_or_id + "\" is a file", flag,
         "name the folder that holds config.json, the weights and tokenizer.json, or an id such as "
         "Qwen/Qwen3-0.6B"});
  else if (!is_folder(path_or_id) && !is_hub_id(path_or_id))
    problems.push_back(no_such_model(path_or_id, flag));
}

fs::path fetch_model(const ModelName& model, ModelPart part, bool is_offline, const HubLog& log) {
  if (auto folder = find_model(model, part); !folder.empty()) return folder;
  const auto& id = model.path_or_id;
  if (!is_hub_id(id)) throw UserError(ExitCode::kUsage, no_such_model(id, "model"));
  if (is_offline || is_hub_offline())
    fail(ExitCode::kUsage,
         "\"" + id + "\" is no folder here, not whole in the hub's cache, and the network is off",
         hub_cache().string(),
         did_you_mean({RepositoryKind::kModel, id}) + "download it where the network is on: hf download " +
             id + "; or name the folder of a model");
  HubRepository repository{RepositoryKind::kModel, id, model.revision};
  const auto snapshot = download_from_hub(repository, files_of(part), log);
  if (!is_there(snapshot, part))
    fail(ExitCode::kModel,
         part == ModelPart::kConfig ? "the model has no config.json"
         : part == ModelPart::kTokenizer
             ? "the model has no tokenizer.json"
             : "the model lacks config.json, tokenizer.json or its weights as safetensors",
         id, "name a model that has them; pickled weights (.bin) are never read");
  // Apart, since the patterns above leave out all folders; of the same commit, whatever the branch is now.
  repository.revision = snapshot.filename().string();
  if (part != ModelPart::kConfig &&
      (lacks_chat_templates(repository, snapshot) || !cached_file_names(repository)))
    download_from_hub(repository, {{}, {std::string(kMoreChatTemplates) + "/*.jinja"}, {}},
                      [](const std::string&) {});
  return snapshot;
}

}  // namespace anneal
