// Text from a causal language model: batched, with a key/value cache. A completion depends on its own prompt
// and on the seed alone: not on the batch that it ran in, nor on the order of the prompts.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "generate/generate_options.h"
#include "models/causal_lm.h"
#include "tokenizer/tokenizer.h"

namespace anneal {

struct Prompt {
  std::int64_t index;  // of the row it comes from; keys its randomness
  std::vector<std::int32_t> ids;
};

enum class FinishReason { kStop, kLength, kPromptTooLong };
std::string_view finish_reason_name(FinishReason reason);  // stop, length, prompt_too_long

struct Completion {
  std::int64_t index;             // that of its prompt
  std::vector<std::int32_t> ids;  // what was generated, the token that stopped it included
  std::string text;               // without special tokens, and cut before the first stop string
  FinishReason finish_reason;
};

// Packs the model, then completes all prompts, at most options.batch_size of them at a time, and hands over
// each completion when it is done, in no particular order. Stops at any of tokenizer.stop_ids(), at those of
// the options and at the stop strings.
void generate(CausalLm& model, const Tokenizer& tokenizer, const std::vector<Prompt>& prompts,
              const GenerateOptions& options, const std::function<void(Completion)>& on_completion);

}  // namespace anneal
