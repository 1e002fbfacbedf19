#include "engine/convert_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "checkpoint/checkpoint_folder.h"
#include "checkpoint/conversion_record.h"
#include "checkpoint/converted_model.h"
#include "checkpoint/find_checkpoint.h"
#include "checkpoint/model_card.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/run_directory.h"
#include "checkpoint/staged_folder.h"
#include "checkpoint/trained_base.h"
#include "engine/conversion_check.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

// All that a conversion goes by, once the checkpoint is found.
struct Conversion {
  FoundCheckpoint checkpoint;
  bool merges;                   // an adapter into its base
  std::optional<fs::path> base;  // where it is a folder
  fs::path output;

  bool writes_adapter() const { return checkpoint.is_adapter && !merges; }
  fs::path weights() const { return merges ? *base : checkpoint.folder; }
  std::optional<fs::path> adapter() const { return merges ? std::optional(checkpoint.folder) : std::nullopt; }
  fs::path adapter_weights() const { return checkpoint.folder / "adapter_model.safetensors"; }
  fs::path adapter_config() const { return checkpoint.folder / "adapter_config.json"; }
};

Console& console() {
  static Console shown;
  return shown;
}

void say(const std::string& line) { console().say(line); }

void warn(const std::string& line) { say("warning: " + line); }

std::optional<at::ScalarType> dtype_of(const std::string& name) {
  if (name == "bf16") return at::kBFloat16;
  if (name == "fp16") return at::kHalf;
  if (name == "fp32") return at::kFloat;
  return std::nullopt;
}

Conversion plan_conversion(const ConvertRequest& request) {
  Conversion made;
  made.checkpoint = find_checkpoint(request.checkpoint, say);
  say(fmt::format("checkpoint: {} ({})", made.checkpoint.folder.string(),
                  made.checkpoint.is_adapter ? "a LoRA adapter" : "all weights"));
  made.merges = made.checkpoint.is_adapter && !request.no_merge;
  if (request.no_merge && !made.checkpoint.is_adapter)
    say("notice: --no_merge has no effect, the checkpoint is no adapter");
  if (made.merges)
    made.base = request.checkpoint.fetch_base(say);
  else if (auto base = request.checkpoint.base_folder(); !base.empty())
    made.base = std::move(base);
  made.output =
      request.output_dir
          ? fs::path(*request.output_dir)
          : fs::path(made.checkpoint.folder.string() + (made.writes_adapter() ? ".hf_peft" : ".hf_model"));
  made.output = made.output.lexically_normal();
  if (!made.output.has_filename()) made.output = made.output.parent_path();
  return made;
}

void warn_about_unused_flags(const LoraOptions& lora, const PeftConfig& config,
                             const std::set<std::string>& given) {
  const auto differ = [&](const char* flag, bool differs, const std::string& checkpoint) {
    if (given.count(flag) != 0 && differs)
      warn(fmt::format("--{} is not used; the checkpoint says {}", flag, checkpoint));
  };
  const auto& shape = config.shape;
  differ("lora_rank", lora.lora_rank != shape.rank, fmt::format("{}", shape.rank));
  differ("lora_alpha", lora.lora_alpha != shape.alpha, fmt::format("{}", shape.alpha));
  differ("lora_dropout", lora.lora_dropout != shape.dropout, fmt::format("{}", shape.dropout));
  auto given_targets = lora.targets(), targets = shape.targets;
  std::sort(given_targets.begin(), given_targets.end());
  std::sort(targets.begin(), targets.end());
  differ("lora_target_modules", given_targets != targets, fmt::format("{}", fmt::join(targets, ",")));
}

void warn_about_another_base(const std::string& base, const PeftConfig& config) {
  if (config.base_model.empty() || default_run_name(base) == default_run_name(config.base_model)) return;
  std::error_code error;
  if (fs::equivalent(base, config.base_model, error) && !error) return;
  warn(fmt::format("the adapter was trained on {}, --base_model is {}", config.base_model, base));
}

// The folder of the run that wrote the checkpoint.
fs::path run_folder(const Conversion& conversion) {
  return fs::absolute(conversion.checkpoint.folder).parent_path();
}

void require_trained_base(const Conversion& conversion, bool force) {
  if (!conversion.base) return;
  auto problem = wrong_base_problem(run_folder(conversion), *conversion.base);
  if (!problem) return;
  problem->remedy += ", or give --force";
  if (!force) throw UserError(ExitCode::kModel, std::vector{*problem});
  warn("config.json of the base model is not the one that the run was trained with");
}

void look_at_adapter(const Conversion& conversion, const ConvertRequest& request,
                     const std::set<std::string>& given) {
  const auto config = read_any_peft_config(conversion.checkpoint.folder);
  warn_about_unused_flags(request.lora, config, given);
  warn_about_another_base(request.checkpoint.base_model, config);
}

// The checkpoint's own where it has any: never a mixture of two.
std::vector<ConversionInput> tokenizer_files_of(const Conversion& conversion) {
  std::vector<fs::path> folders{conversion.checkpoint.folder};
  if (conversion.base) folders.push_back(*conversion.base);
  std::vector<ConversionInput> files;
  for (const auto& folder : folders) {
    for (const auto& file : tokenizer_files(folder)) files.emplace_back(file.string(), folder / file);
    if (!files.empty()) return files;
  }
  warn("neither the checkpoint nor the base model has a tokenizer");
  return files;
}

// Files that are copied as they are, under the same names.
std::vector<ConversionInput> copied_files(const Conversion& conversion) {
  auto files = tokenizer_files_of(conversion);
  if (conversion.writes_adapter()) {
    files.emplace_back("adapter_model.safetensors", conversion.adapter_weights());
    files.emplace_back("adapter_config.json", conversion.adapter_config());
    return files;
  }
  std::vector<fs::path> folders{conversion.weights()};
  if (conversion.base) folders.push_back(*conversion.base);
  for (const auto& folder : folders)
    if (const auto generation = folder / "generation_config.json"; fs::exists(generation)) {
      files.emplace_back("generation_config.json", generation);
      break;
    }
  return files;
}

std::vector<ConversionInput> inputs_of(const Conversion& conversion, std::vector<ConversionInput> copied,
                                       const ConvertedModel* model) {
  auto inputs = std::move(copied);
  if (model == nullptr) return inputs;
  inputs.emplace_back("weights/config.json", conversion.weights() / "config.json");
  for (const auto& file : model->weights().files())
    inputs.emplace_back("weights/" + file->path().filename().string(), file->path());
  if (!conversion.merges) return inputs;
  inputs.emplace_back("adapter_config.json", conversion.adapter_config());
  inputs.emplace_back("adapter_model.safetensors", conversion.adapter_weights());
  return inputs;
}

Json record_options(const Conversion& conversion, const ConvertRequest& request) {
  if (conversion.writes_adapter()) return {{"base_model", request.checkpoint.base_model}, {"merge", false}};
  return {{"dtype", request.dtype},
          {"max_shard_bytes", *parse_byte_size(request.max_shard_size)},
          {"merge", conversion.merges}};
}

// Whether the output is there already, made of the same. Throws where something else is in its place.
bool is_up_to_date(const Conversion& conversion, const Json& options,
                   const std::vector<ConversionInput>& inputs, bool overwrite) {
  const auto where = conversion.output.string();
  std::error_code error;
  for (const auto& source : {std::optional(conversion.checkpoint.folder), conversion.base})
    if (source && fs::equivalent(*source, conversion.output, error) && !error)
      fail(ExitCode::kUsage, "is what is to be converted", where, "name another folder with --output_dir");
  std::string difference;
  switch (look_at_output(conversion.output, options, inputs, difference)) {
    case OutputState::kFree:
      return false;
    case OutputState::kUpToDate:
      return true;
    case OutputState::kForeign:
      fail(ExitCode::kUsage, "holds files that no conversion has written; they are not overwritten", where,
           "name another folder with --output_dir, or delete this one yourself");
    case OutputState::kOther:
      if (!overwrite)
        fail(ExitCode::kUsage, "holds an earlier conversion that differs (" + difference + ")", where,
             "give --overwrite to replace it, or --output_dir for another folder");
      say("replacing " + where + ", which differs (" + difference + ")");
  }
  return false;
}

void write_model(const Conversion& conversion, const ConvertRequest& request, const ConvertedModel& model,
                 const fs::path& folder) {
  if (model.merge())
    say(fmt::format("merging {} adapted modules into {} ({} tensors, {})", model.merge()->modules(),
                    conversion.weights().string(), model.tensors().size(), byte_size_text(model.bytes())));
  else
    say(fmt::format("writing {} tensors, {}", model.tensors().size(), byte_size_text(model.bytes())));
  Progress progress(console(), model.merge() ? "merging" : "writing", "tensors");
  model.write(folder, *parse_byte_size(request.max_shard_size), [&](std::size_t tensors, std::int64_t bytes) {
    progress.at(static_cast<std::int64_t>(tensors), static_cast<std::int64_t>(model.tensors().size()),
                byte_size_text(bytes) + " of " + byte_size_text(model.bytes()));
  });
}

void check_model(const Conversion& conversion, const ConvertRequest& request, const ConvertedModel& model,
                 const fs::path& folder) {
  if (request.verify) say(verify_tensors(model, folder));
  const auto check = compare_logits(folder, conversion.weights(), conversion.adapter());
  say(check.line);
  if (check.agrees) return;
  if (request.verify)
    fail(ExitCode::kModel, "the converted model does not give the logits of its sources",
         conversion.output.string(), "report this, with the lines above");
  warn("the logits differ by more than rounding explains; look into it before you use the result");
}

void write_output(const Conversion& conversion, const ConvertRequest& request, const Json& options,
                  const std::vector<ConversionInput>& copied, const std::vector<ConversionInput>& inputs,
                  const ConvertedModel* model) {
  constexpr std::int64_t kSmallFiles = 16 << 20;
  StagedFolder staged(conversion.output);
  std::int64_t bytes = kSmallFiles + (model != nullptr ? model->bytes() : 0);
  for (const auto& [name, path] : copied) bytes += static_cast<std::int64_t>(fs::file_size(path));
  require_free_space(staged.path(), bytes, "--output_dir");
  if (model != nullptr) write_model(conversion, request, *model, staged.path());
  for (const auto& [name, path] : copied) copy_model_file(path, staged.path() / name);
  if (model != nullptr)
    check_model(conversion, request, *model, staged.path());
  else
    write_file_atomically(staged.path() / "base_model.txt", request.checkpoint.base_model + "\n");
  write_conversion_record(staged.path(), options, inputs);
  staged.commit();
  say("wrote " + conversion.output.string());
}

// What vLLM takes for --max-lora-rank, or nothing where the rank is above all of them.
std::optional<std::int64_t> vllm_rank(std::int64_t rank) {
  for (const std::int64_t allowed : {8, 16, 32, 64, 128, 256, 320, 512})
    if (rank <= allowed) return allowed;
  return std::nullopt;
}

std::int64_t largest_rank(const PeftConfig& config) {
  auto largest = static_cast<double>(config.shape.rank);
  for (const auto& [pattern, rank] : config.shape.rank_pattern) largest = std::max(largest, rank);
  return static_cast<std::int64_t>(largest);
}

void say_how_to_load(const Conversion& conversion, const std::string& base_model) {
  const auto path = conversion.output.string();
  if (!conversion.writes_adapter()) {
    say(fmt::format("transformers: AutoModelForCausalLM.from_pretrained(\"{}\")", path));
    say(fmt::format("vLLM:         vllm serve {}", path));
    return;
  }
  say(fmt::format("PEFT: PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(\"{}\"), \"{}\")",
                  base_model, path));
  const auto config = read_any_peft_config(conversion.checkpoint.folder);
  if (config.shape.use_dora)
    say("vLLM: serves no DoRA adapter; convert without --no_merge");
  else if (const auto rank = vllm_rank(largest_rank(config)))
    say(fmt::format("vLLM: vllm serve {} --enable-lora --max-lora-rank {} --lora-modules adapter={}",
                    base_model, *rank, path));
  else
    say("vLLM: serves no adapter of this rank; convert without --no_merge");
}

void push(const Conversion& conversion, const ConvertRequest& request) {
  const auto card = conversion.output / "README.md";
  const auto trained_on = conversion.checkpoint.is_adapter
                              ? read_any_peft_config(conversion.checkpoint.folder).base_model
                              : std::string();
  // A card that somebody has written stays.
  if (!fs::exists(card))
    write_file_atomically(card,
                          model_card_text({*request.push_to_hub,
                                           trained_on.empty() ? request.checkpoint.base_model : trained_on,
                                           conversion.writes_adapter(), run_folder(conversion)}));
  say("uploading to " + *request.push_to_hub);
  upload_to_hub(conversion.output, *request.push_to_hub);
}

}  // namespace

int run_convert(ConvertRequest& request, const std::set<std::string>& given) {
  const auto conversion = plan_conversion(request);
  sweep_leftovers(conversion.output);
  if (conversion.checkpoint.is_adapter) look_at_adapter(conversion, request, given);
  require_trained_base(conversion, request.force);
  const auto copied = copied_files(conversion);
  std::optional<ConvertedModel> model;
  if (!conversion.writes_adapter())
    model.emplace(conversion.weights(), conversion.adapter(), dtype_of(request.dtype));
  else if (conversion.base)
    AdapterMerge(conversion.checkpoint.folder, SafetensorsFolder(*conversion.base));
  else
    say("notice: the base model is not here, so the adapter is not held against it");
  const ConvertedModel* weights = model ? &*model : nullptr;
  const auto inputs = inputs_of(conversion, copied, weights);
  const auto options = record_options(conversion, request);
  if (!is_up_to_date(conversion, options, inputs, request.overwrite)) {
    write_output(conversion, request, options, copied, inputs, weights);
  } else {
    say("up to date: " + conversion.output.string());
    if (request.verify && model) check_model(conversion, request, *model, conversion.output);
  }
  say_how_to_load(conversion, request.checkpoint.base_model);
  if (request.push_to_hub) push(conversion, request);
  return 0;
}

}  // namespace anneal
