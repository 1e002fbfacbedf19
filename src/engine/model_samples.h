// What train, score and test share: samples that fit the model.
#pragma once
#include <cstdint>

#include "tokenizer/tokenizer.h"

namespace anneal {

// Throws UserError(kModel) where the tokenizer has ids that the embedding has no row for.
void require_ids_within(const Tokenizer& tokenizer, std::int64_t vocab_size);

}  // namespace anneal
