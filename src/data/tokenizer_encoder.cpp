#include "data/tokenizer_encoder.h"

#include <algorithm>

#include "base/error.h"

namespace anneal {

TokenizerEncoder::TokenizerEncoder(const Tokenizer& tokenizer, const ExampleOptions& options)
    : tokenizer_(tokenizer), special_in_text_(options.special_in_text), eos_id_(tokenizer.eos_id()) {
  for (std::int32_t id = 0; id <= tokenizer.largest_id(); ++id)
    is_special_.push_back(tokenizer.is_special(id));
  if (!options.eos_token) return;
  eos_id_ = tokenizer.token_to_id(*options.eos_token);
  if (!eos_id_)
    fail(ExitCode::kUsage, "\"" + *options.eos_token + "\" is no token of the tokenizer", "--eos_token",
         "name a token of its vocabulary, or leave the flag out");
}

std::vector<std::int32_t> TokenizerEncoder::encode_prompt(std::string_view text) const {
  return tokenizer_.encode_prompt(text, special_in_text_);
}

std::vector<std::int32_t> TokenizerEncoder::encode_continuation(std::string_view text) const {
  return tokenizer_.encode_continuation(text, special_in_text_);
}

std::int64_t TokenizerEncoder::count_specials(std::span<const std::int32_t> ids) const {
  return std::count_if(ids.begin(), ids.end(), [this](std::int32_t id) { return is_special_[id]; });
}

CutIds TokenizerEncoder::encode_chat(std::string_view text, std::span<const std::size_t> cuts) const {
  if (!special_in_text_)
    fail(ExitCode::kUsage, "a chat template writes special tokens as text", "--no_special_in_text",
         "leave the flag out for rows of messages");
  return tokenizer_.encode_cut(text, cuts);
}

}  // namespace anneal
