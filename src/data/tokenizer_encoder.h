// The tokenizer of a model as examples use it: its special-token policy and the end of sequence to append.
#pragma once
#include "data/example.h"
#include "tokenizer/tokenizer.h"

namespace anneal {

class TokenizerEncoder : public ExampleEncoder {
 public:
  // `tokenizer` outlives it. Throws UserError where options.eos_token is no token.
  TokenizerEncoder(const Tokenizer& tokenizer, const ExampleOptions& options);

  std::vector<std::int32_t> encode_prompt(std::string_view text) const override;
  std::vector<std::int32_t> encode_continuation(std::string_view text) const override;
  CutIds encode_chat(std::string_view text, std::span<const std::size_t> cuts) const override;
  std::optional<std::int32_t> eos_id() const override { return eos_id_; }
  std::int64_t count_specials(std::span<const std::int32_t> ids) const override;
  std::size_t leading_specials() const override { return tokenizer_.leading_special_ids().size(); }

 private:
  const Tokenizer& tokenizer_;
  bool special_in_text_;
  std::optional<std::int32_t> eos_id_;
  std::vector<bool> is_special_;  // by id
};

}  // namespace anneal
