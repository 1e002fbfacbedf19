// LoRA adapters in PEFT's folder format.
#pragma once
#include <filesystem>

#include "models/lora_adapter.h"

namespace anneal {

// Writes adapter_config.json and adapter_model.safetensors. Throws UserError(kNumerical) where a value is
// not finite.
void write_peft_adapter(const CausalLm& model, const LoraShape& shape, const std::string& base_model,
                        const std::filesystem::path& folder);

// What adapter_config.json says. Throws UserError(kModel) for what this version does not support.
LoraShape read_peft_config(const std::filesystem::path& folder);

// Attaches the adapter to the model. Throws UserError(kModel) for tensors that are missing, surplus, of the
// wrong shape or not finite.
void load_peft_adapter(CausalLm& model, const LoraShape& shape, const std::filesystem::path& folder);

}  // namespace anneal
