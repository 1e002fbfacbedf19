// A whole model as a Hugging Face folder, and the files that travel with a model unchanged.
#pragma once
#include <filesystem>
#include <vector>

#include "models/causal_lm.h"

namespace anneal {

// Copies the tokenizer's files byte for byte.
void copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to);

// Writes the trained weights, rounded once to `dtype`, with config.json and generation_config.json.
void write_model_folder(const CausalLm& model, at::ScalarType dtype, const std::filesystem::path& folder);

}  // namespace anneal
