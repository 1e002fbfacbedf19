#include "checkpoint/model_folder.h"

#include <map>

#include "base/json.h"
#include "hub/model.h"

namespace anneal {
namespace {

constexpr const char* kTokenizerFiles[] = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
    "merges.txt",     "tokenizer.model",       "added_tokens.json"};

const char* dtype_in_config(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? "bfloat16" : dtype == at::kHalf ? "float16" : "float32";
}

}  // namespace

std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const char* name : kTokenizerFiles)
    if (std::filesystem::exists(folder / name)) files.emplace_back(name);
  const auto templates = chat_template_files(folder);
  files.insert(files.end(), templates.begin(), templates.end());
  return files;
}

void copy_model_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  make_folder(to.parent_path(), "name a folder that can be written");
  write_file_atomically(to, read_file(from, ExitCode::kModel));
}

void copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const auto& file : tokenizer_files(from)) copy_model_file(from / file, to / file);
}

std::string config_with_dtype(const std::filesystem::path& folder, at::ScalarType dtype) {
  const auto path = folder / "config.json";
  auto config = parse_ordered_json(read_file(path, ExitCode::kModel), path.string(), ExitCode::kModel);
  // transformers 5 writes and reads "dtype", version 4 reads "torch_dtype".
  for (const char* key : {"dtype", "torch_dtype"})
    if (config.contains(key)) config[key] = dtype_in_config(dtype);
  if (!config.contains("dtype") && !config.contains("torch_dtype"))
    config["torch_dtype"] = dtype_in_config(dtype);
  return config.dump(2) + "\n";
}

void write_model_folder(const WeightShare& weights, const std::filesystem::path& base,
                        const std::filesystem::path& folder) {
  std::map<std::string, at::Tensor> values;
  for (const auto& [name, value, first] : weights.values) values.emplace(name, value);
  at::Tensor rounded;  // one at a time
  const auto bytes_of = [&](const TensorPlan& plan) {
    rounded.reset();
    rounded = values.at(plan.name).to(weights.dtype).contiguous();
    return checked_view(plan.name, rounded).view.bytes;
  };
  write_safetensors_shards(folder, weights.shards, bytes_of,
                           [&](std::size_t shard) { return weights.is_mine(shard); });
  if (weights.rank != 0) return;
  write_file_atomically(folder / "config.json", config_with_dtype(base, weights.dtype));
  if (const auto generation = base / "generation_config.json"; std::filesystem::exists(generation))
    copy_model_file(generation, folder / generation.filename());
}

}  // namespace anneal
