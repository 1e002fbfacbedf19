#include "engine/model_samples.h"

#include <fmt/format.h>

namespace anneal {

std::string fit_to_model(ExampleOptions& options, std::int64_t longest, const std::set<std::string>& given) {
  if (options.max_seq_length <= longest) return "";
  if (given.count("max_seq_length") != 0)
    fail(ExitCode::kUsage,
         fmt::format("{} is above the model's limit of {}", options.max_seq_length, longest),
         "--max_seq_length", "give at most the model's limit");
  options.max_seq_length = longest;
  return fmt::format("max_seq_length is {}, the model's limit", options.max_seq_length);
}

void require_ids_within(const Tokenizer& tokenizer, std::int64_t vocab_size) {
  if (tokenizer.largest_id() >= vocab_size)
    fail(ExitCode::kModel,
         fmt::format("the tokenizer has the id {}, the embedding only {} rows", tokenizer.largest_id(),
                     vocab_size),
         "tokenizer.json", "use the tokenizer of the same model");
}

}  // namespace anneal
