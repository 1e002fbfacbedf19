// What train and score share: samples that fit the model.
#pragma once
#include <set>
#include <string>

#include "data/example_options.h"
#include "tokenizer/tokenizer.h"

namespace anneal {

// Clamps the default max_seq_length to `longest`, the model's limit, returning a notice or ""; an explicit value above
// it throws.
std::string fit_to_model(ExampleOptions& options, std::int64_t longest, const std::set<std::string>& given);

// Throws UserError(kModel) where the tokenizer has ids that the embedding has no row for.
void require_ids_within(const Tokenizer& tokenizer, std::int64_t vocab_size);

}  // namespace anneal
