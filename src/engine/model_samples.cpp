#include "engine/model_samples.h"

#include <fmt/format.h>

namespace anneal {

std::string fit_to_model(ExampleOptions& options, const ModelConfig& config,
                         const std::set<std::string>& given) {
  if (options.max_seq_length <= config.rope.longest()) return "";
  if (given.count("max_seq_length") != 0)
    fail(ExitCode::kUsage,
         fmt::format("{} is above the model's limit of {}", options.max_seq_length, config.rope.longest()),
         "--max_seq_length", "give at most the model's limit");
  options.max_seq_length = config.rope.longest();
  return fmt::format("max_seq_length is {}, the model's limit", options.max_seq_length);
}

void require_ids_within(const Tokenizer& tokenizer, const ModelConfig& config) {
  if (tokenizer.largest_id() >= config.vocab_size)
    fail(ExitCode::kModel,
         fmt::format("the tokenizer has the id {}, the embedding only {} rows", tokenizer.largest_id(),
                     config.vocab_size),
         "tokenizer.json", "use the tokenizer of the same model");
}

}  // namespace anneal
