// Decodes tokens that come one after another, as the DecodeStream of the `tokenizers` library does.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace anneal {

// Of the ids of a text, the pieces add up to what Tokenizer::decode() gives for all of them.
class DecodeStream {
 public:
  // The tokenizer outlives it.
  DecodeStream(const Tokenizer& tokenizer, bool skip_special_tokens);

  // The text that this token completes; nothing while a character lacks bytes.
  std::string add(std::int32_t id);
  // What is left: U+FFFD for bytes that make no character.
  std::string finish();

 private:
  std::string advance(bool is_last);
  std::string decoded(std::size_t first) const;

  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  // The tokens of the piece before, since a token's text may depend on whether it is the first, and later
  // ones.
  std::vector<std::int32_t> ids_;
  std::size_t given_ = 0;  // of them, those whose text has been given
  std::string given_text_;
};

}  // namespace anneal
