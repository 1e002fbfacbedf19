#include "engine/model_samples.h"

#include <fmt/format.h>

#include "base/error.h"

namespace anneal {

void require_ids_within(const Tokenizer& tokenizer, std::int64_t vocab_size) {
  if (tokenizer.largest_id() >= vocab_size)
    fail(ExitCode::kModel,
         fmt::format("the tokenizer has the id {}, the embedding only {} rows", tokenizer.largest_id(),
                     vocab_size),
         "tokenizer.json", "use the tokenizer of the same model");
}

}  // namespace anneal
