// A whole model as a Hugging Face folder, and the files that travel with a model unchanged.
#pragma once
#include <filesystem>
#include <vector>

#include "checkpoint/weight_share.h"

namespace anneal {

// The tokenizer's files that are there, relative to `folder`.
std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& folder);

// Copies a file byte for byte, with the folder that it lies in.
void copy_model_file(const std::filesystem::path& from, const std::filesystem::path& to);

// Copies the tokenizer's files from one folder into another.
void copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to);

// config.json of `folder` with another dtype, all else as it is.
std::string config_with_dtype(const std::filesystem::path& folder, at::ScalarType dtype);

// Writes this rank's share of the trained weights, rounded once to their dtype; the first rank also writes
// config.json and generation_config.json of `base`.
void write_model_folder(const WeightShare& weights, const std::filesystem::path& base,
                        const std::filesystem::path& folder);

}  // namespace anneal
