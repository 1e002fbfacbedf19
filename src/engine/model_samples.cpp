#include "engine/model_samples.h"

#include <fmt/format.h>

namespace anneal {

std::string fit_to_model(ExampleOptions& options, const ModelConfig& config,
                         const std::set<std::string>& given) {
  return fit_length(options.max_seq_length, given.count("max_seq_length") != 0, config);
}

void require_ids_within(const Tokenizer& tokenizer, const ModelConfig& config) {
  if (tokenizer.largest_id() >= config.vocab_size)
    fail(ExitCode::kModel,
         fmt::format("the tokenizer has the id {}, the embedding only {} rows", tokenizer.largest_id(),
                     config.vocab_size),
         "tokenizer.json", "use the tokenizer of the same model");
}

}  // namespace anneal
