// LoRA adapters in PEFT's folder format.
#pragma once
#include <filesystem>

#include "checkpoint/tensor_file.h"
#include "models/lora_adapter.h"

namespace anneal {

// Writes adapter_config.json and adapter_model.safetensors, and reads it again. An adapter of experts has the
// keys of transformers 4, one expert each, and says what PEFT takes there: no dropout, no rsLoRA. Throws
// UserError(kNumerical) where a value is not finite, UserError(kResources) where the disk holds something
// else.
void write_peft_adapter(const std::vector<NamedValue>& adapter, const LoraShape& shape,
                        const std::string& base_model, const std::filesystem::path& folder,
                        const std::string& base_revision = "");

// What adapter_config.json says.
struct PeftConfig {
  LoraShape shape;                     // without targets where the file names none
  std::string base_model;              // base_model_name_or_path; may be empty
  bool fan_in_fan_out = false;         // base weights lie transposed, as those of Conv1D
  bool narrows_targets = false;        // not every module that the targets name has an adapter
  bool targets_are_a_pattern = false;  // one text instead of a list: all-linear, or a regular expression
};

// Throws UserError(kModel) for what is more than low-rank updates and magnitudes of weights: biases, whole
// modules.
PeftConfig read_any_peft_config(const std::filesystem::path& folder);

// The same for an adapter that is to be attached to a model of ours, and refused where it cannot.
LoraShape read_peft_config(const std::filesystem::path& folder);

// Attaches the adapter to the model. Throws UserError(kModel) for tensors that are missing, surplus, of the
// wrong shape or not finite.
void load_peft_adapter(CausalLm& model, const LoraShape& shape, const std::filesystem::path& folder);

}  // namespace anneal
