#include "checkpoint/model_folder.h"

#include "base/json.h"
#include "checkpoint/tensor_file.h"

namespace anneal {
namespace {

constexpr std::int64_t kShardBytes = 5'000'000'000;
constexpr const char* kTokenizerFiles[] = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
    "merges.txt",     "tokenizer.model",       "added_tokens.json",       "chat_template.jinja"};

void copy_if_there(const std::filesystem::path& from, const std::filesystem::path& to, const char* name) {
  if (std::filesystem::exists(from / name))
    write_file_atomically(to / name, read_file(from / name, ExitCode::kModel));
}

}  // namespace

void copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const char* name : kTokenizerFiles) copy_if_there(from, to, name);
}

void write_model_folder(const CausalLm& model, at::ScalarType dtype, const std::filesystem::path& folder) {
  std::vector<at::Tensor> rounded;
  std::vector<NamedTensor> tensors;
  for (const auto& parameter : model.full_parameters) {
    rounded.push_back(parameter->value.to(dtype).contiguous());
    tensors.push_back(checked_view(parameter->name, rounded.back()));
  }
  write_safetensors_folder(folder, tensors, kShardBytes);
  auto config = parse_ordered_json(read_file(model.folder / "config.json", ExitCode::kModel),
                                   (model.folder / "config.json").string(), ExitCode::kModel);
  const std::string name = dtype == at::kBFloat16 ? "bfloat16" : "float32";
  // transformers 5 writes and reads "dtype", version 4 reads "torch_dtype".
  for (const char* key : {"dtype", "torch_dtype"})
    if (config.contains(key)) config[key] = name;
  if (!config.contains("dtype") && !config.contains("torch_dtype")) config["torch_dtype"] = name;
  write_file_atomically(folder / "config.json", config.dump(2) + "\n");
  copy_if_there(model.folder, folder, "generation_config.json");
}

}  // namespace anneal
