// What train and score share: samples that fit the model.
#pragma once
#include <set>
#include <string>

#include "architecture/model_config.h"
#include "data/example_options.h"
#include "tokenizer/tokenizer.h"

namespace anneal {

// Clamps the default max_seq_length to the model's limit, returning a notice or ""; an explicit value above
// it throws.
std::string fit_to_model(ExampleOptions& options, const ModelConfig& config,
                         const std::set<std::string>& given);

// Throws UserError(kModel) where the tokenizer has ids that the embedding has no row for.
void require_ids_within(const Tokenizer& tokenizer, const ModelConfig& config);

}  // namespace anneal
