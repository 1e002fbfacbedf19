// All options of `anneal convert`. Free of torch.
#pragma once
#include <optional>
#include <set>
#include <string>

#include "base/byte_size.h"
#include "base/fields.h"
#include "checkpoint/checkpoint_options.h"
#include "nn/lora_options.h"

namespace anneal {

struct ConvertRequest {
  CheckpointOptions checkpoint;
  bool no_merge = false;
  std::optional<std::string> output_dir;
  std::string dtype = "keep";
  std::string max_shard_size = "5GB";
  bool overwrite = false;
  bool verify = false;
  std::optional<std::string> push_to_hub;
  bool force = false;
  LoraOptions lora;  // accepted for scripts that give them; the checkpoint's own values count

  static void fields(auto& c, auto field) {
    field("checkpoint", c.checkpoint, "Checkpoint");
    field("no_merge", c.no_merge,
          "Keep the adapter apart, as a folder for PEFT, instead of merging it into the base model.",
          FieldTraits{.heading = "Conversion"});
    field("output_dir", c.output_dir,
          "Where the folder goes. Default: beside the checkpoint, as <checkpoint>.hf_model, or .hf_peft with "
          "--no_merge.");
    field("dtype", c.dtype, "What weights are saved in; keep: each tensor as in the base model.",
          FieldTraits{.choices = {"keep", "bf16", "fp16", "fp32"}});
    field("max_shard_size", c.max_shard_size,
          "The largest size of one weights file, such as 5GB or 500MB; a larger model is cut into several.");
    field("overwrite", c.overwrite, "Replace an earlier conversion of other inputs at the same place.");
    field("verify", c.verify,
          "Read the written files again, compute three merged tensors anew, and fail where the logits of the "
          "result are not "
          "those of base and adapter.");
    field("push_to_hub", c.push_to_hub,
          "Upload the folder to this repository, such as name/model, with the `hf` command (HF_TOKEN, "
          "HF_ENDPOINT).");
    field("force", c.force, "Go on where the base model is not the one that the run was trained on.");
    const char* unused = "Not used: the checkpoint says it. A value that differs is warned about.";
    field("lora_rank", c.lora.lora_rank, unused, FieldTraits{.heading = "Without effect"});
    field("lora_alpha", c.lora.lora_alpha, unused);
    field("lora_dropout", c.lora.lora_dropout, unused);
    field("lora_target_modules", c.lora.lora_target_modules, unused);
  }

  void complete(const std::set<std::string>&, std::vector<Problem>& problems) const {
    checkpoint.validate(problems);
    if (push_to_hub && (push_to_hub->empty() || push_to_hub->front() == '-'))
      problems.push_back(
          {"\"" + *push_to_hub + "\" is no repository", "--push_to_hub", "give one such as name/model"});
    if (!parse_byte_size(max_shard_size))
      problems.push_back(
          {"\"" + max_shard_size + "\" is no size", "--max_shard_size", "give one such as 5GB or 500MB"});
  }
};

}  // namespace anneal
