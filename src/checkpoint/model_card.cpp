#include "checkpoint/model_card.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/run_directory.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

// Options that shaped the training; of the others a reader learns nothing, and paths are nobody's business.
constexpr const char* kShownOptions[] = {"full_ft",
                                         "lora_rank",
                                         "lora_alpha",
                                         "lora_dropout",
                                         "lora_target_modules",
                                         "use_rslora",
                                         "use_dora",
                                         "learning_rate",
                                         "min_learning_rate",
                                         "lr_scheduler_type",
                                         "warmup_ratio",
                                         "weight_decay",
                                         "max_grad_norm",
                                         "max_steps",
                                         "per_device_train_batch_size",
                                         "gradient_accumulation_steps",
                                         "max_seq_length",
                                         "hfdc_input_template",
                                         "hfdc_output_template",
                                         "seed"};
constexpr const char* kShownResults[] = {"best_metric", "best_step",     "train_loss",
                                         "train_steps", "train_samples", "stop_reason"};

Json read_if_there(const fs::path& path) {
  if (!fs::exists(path)) return Json::object();
  const Json content = read_json_file(path, ExitCode::kModel);
  return content.is_object() ? content : Json::object();
}

// A bar ends a cell even inside of code.
std::string in_cell(std::string text) {
  for (auto at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2))
    text.insert(at, 1, '\\');
  return text;
}

template <class Names>
std::string table(const Json& values, const Names& names) {
  std::string rows;
  for (const char* name : names)
    if (values.contains(name) && !values[name].is_null())
      rows += fmt::format("| {} | `{}` |\n", name, in_cell(values[name].dump()));
  return rows.empty() ? "" : "| | |\n|---|---|\n" + rows;
}

// A path of this machine is no name on the Hub.
bool is_hub_id(const std::string& model) {
  const auto slash = model.find('/');
  return slash != std::string::npos && slash > 0 && slash + 1 < model.size() &&
         model.find('/', slash + 1) == std::string::npos && model.find_first_of(" .~") != 0 &&
         !fs::exists(model);
}

std::string usage(const ModelCard& card) {
  if (!card.is_adapter)
    return fmt::format(
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        "model = AutoModelForCausalLM.from_pretrained(\"{0}\")\n"
        "tokenizer = AutoTokenizer.from_pretrained(\"{0}\")\n",
        card.repository);
  return fmt::format(
      "from peft import AutoPeftModelForCausalLM\nfrom transformers import AutoTokenizer\n\n"
      "model = AutoPeftModelForCausalLM.from_pretrained(\"{0}\")\n"
      "tokenizer = AutoTokenizer.from_pretrained(\"{0}\")\n",
      card.repository);
}

}  // namespace

std::string model_card_text(const ModelCard& card) {
  const auto config = read_if_there(card.run_folder / "run_config.json");
  const auto options = config.contains("options") ? config["options"] : Json::object();
  const auto results = read_if_there(card.run_folder / "train_results.json");
  const auto name = card.repository.substr(card.repository.find('/') + 1);
  std::string text = "---\n";
  if (is_hub_id(card.base_model)) text += "base_model: " + card.base_model + "\n";
  text += fmt::format("library_name: {}\npipeline_tag: text-generation\ntags:\n- anneal\n{}---\n\n# {}\n\n",
                      card.is_adapter ? "peft" : "transformers", card.is_adapter ? "- lora\n" : "", name);
  text += fmt::format("{} of {}, trained with anneal.\n\n```python\n{}```\n",
                      card.is_adapter ? "A LoRA adapter" : "A fine-tune",
                      is_hub_id(card.base_model) ? card.base_model : default_run_name(card.base_model),
                      usage(card));
  if (const auto rows = table(results, kShownResults); !rows.empty())
    text += "\n## Results\n\n`best_metric` is the lowest loss on the validation rows.\n\n" + rows;
  if (const auto rows = table(options, kShownOptions); !rows.empty()) text += "\n## Training\n\n" + rows;
  return text;
}

}  // namespace anneal
