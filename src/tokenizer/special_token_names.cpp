#include "tokenizer/special_token_names.h"

#include "base/json.h"

namespace anneal {
namespace {

Json read_if_present(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return Json::object();
  Json json = read_json_file(path, ExitCode::kModel);
  if (!json.is_object())
    fail(ExitCode::kModel, "this is not a JSON object", path.string(), "use a complete, unmodified file");
  return json;
}

// "</s>" or {"content": "</s>", ...}
void set_name(std::optional<std::string>& name, const Json& json, const char* key) {
  if (name) return;
  const auto found = json.find(key);
  if (found == json.end()) return;
  if (found->is_string()) name = found->get<std::string>();
  if (found->is_object() && found->contains("content") && found->at("content").is_string())
    name = found->at("content").get<std::string>();
}

std::vector<std::int32_t> ids_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  std::vector<std::int32_t> ids;
  if (found == json.end()) return ids;
  if (found->is_number_integer()) ids.push_back(found->get<std::int32_t>());
  if (found->is_array())
    for (const auto& id : *found)
      if (id.is_number_integer()) ids.push_back(id.get<std::int32_t>());
  return ids;
}

std::optional<std::int32_t> id_of(const Json& json, const char* key) {
  const auto ids = ids_of(json, key);
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

}  // namespace

SpecialTokenNames load_special_token_names(const std::filesystem::path& model_folder) {
  SpecialTokenNames names;
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const Json json = read_if_present(model_folder / file);
    set_name(names.bos, json, "bos_token");
    set_name(names.eos, json, "eos_token");
    set_name(names.pad, json, "pad_token");
  }
  const Json generation = read_if_present(model_folder / "generation_config.json");
  names.generation_eos_ids = ids_of(generation, "eos_token_id");
  names.generation_bos_id = id_of(generation, "bos_token_id");
  names.generation_pad_id = id_of(generation, "pad_token_id");
  return names;
}

}  // namespace anneal
