// The options of LoRA. Free of torch, as all option headers are: the program checks them before it loads
// torch.
#pragma once
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"

namespace anneal {

struct LoraOptions {
  bool full_ft = false;
  std::int64_t lora_rank = 32;
  double lora_alpha = 32;
  double lora_dropout = 0.1;
  std::string lora_target_modules = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj";
  bool allow_missing_targets = false;
  std::optional<std::string> init_adapter;
  bool use_rslora = false;
  bool use_dora = false;

  static void fields(auto& c, auto field) {
    field("full_ft", c.full_ft, "Train all weights instead of a LoRA adapter.");
    field("lora_rank", c.lora_rank, "Rank of the adapter.", FieldTraits{.minimum = 1});
    field("lora_alpha", c.lora_alpha, "The update is scaled by alpha / rank (see --use_rslora).",
          FieldTraits{.minimum = 0, .exclusive_minimum = true});
    field("lora_dropout", c.lora_dropout, "Drop probability on the adapter's input, in training only.",
          FieldTraits{.minimum = 0, .maximum = 1, .exclusive_maximum = true});
    field("lora_target_modules", c.lora_target_modules,
          "Modules to adapt: names or path endings, separated by commas; all-linear takes every linear layer "
          "but the "
          "output head.");
    field("allow_missing_targets", c.allow_missing_targets, "Go on where a target name hits no module.");
    field("init_adapter", c.init_adapter,
          "Start from this PEFT adapter folder instead of a fresh adapter; its rank, alpha, targets and kind "
          "count.");
    field("use_rslora", c.use_rslora, "rsLoRA: the update is scaled by alpha / sqrt(rank).");
    field(
        "use_dora", c.use_dora,
        "DoRA: the length of each row of an adapted weight is trained apart from its direction. Slower, most "
        "of all with --lora_dropout above 0.");
  }

  // The list of target names, split and trimmed.
  std::vector<std::string> targets() const {
    std::vector<std::string> names;
    for (std::size_t begin = 0; begin <= lora_target_modules.size();) {
      const auto comma = std::min(lora_target_modules.find(',', begin), lora_target_modules.size());
      auto name = lora_target_modules.substr(begin, comma - begin);
      name.erase(0, name.find_first_not_of(" \t\n"));
      name.erase(name.find_last_not_of(" \t\n") + 1);
      names.push_back(name);
      begin = comma + 1;
    }
    return names;
  }

  void validate(std::vector<Problem>& problems) const {
    for (const auto& name : targets())
      if (name.empty()) {
        problems.push_back({"has an empty name", "--lora_target_modules", "separate names by single commas"});
        break;
      }
    const auto conflicts = [&](bool given, const char* flag) {
      if (full_ft && given)
        problems.push_back({"--full_ft trains no adapter", flag, "leave out one of the two"});
    };
    conflicts(init_adapter.has_value(), "--init_adapter");
    conflicts(use_rslora, "--use_rslora");
    conflicts(use_dora, "--use_dora");
  }
};

}  // namespace anneal
