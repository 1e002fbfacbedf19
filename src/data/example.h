// A row as the model sees it: prompt tokens, then the tokens that are trained.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/example_options.h"

namespace anneal {

// What examples need of a tokenizer. Called from several threads at once.
class ExampleEncoder {
 public:
  virtual ~ExampleEncoder() = default;
  // With the tokenizer's leading special tokens, never a trailing one.
  virtual std::vector<std::int32_t> encode_prompt(std::string_view text) const = 0;
  // Without special tokens, as the continuation of a text that stands before it.
  virtual std::vector<std::int32_t> encode_continuation(std::string_view text) const = 0;
  virtual std::optional<std::int32_t> eos_id() const = 0;  // to append; nothing where none is
  // Tokens that encode_prompt() puts before those of the text.
  virtual std::size_t leading_specials() const { return encode_prompt("").size(); }
};

struct Example {
  std::vector<std::int32_t> ids;
  std::int32_t prompt_length = 0;  // trained are ids[prompt_length..]
  std::int64_t row = 0;            // of the file, from 0; lines that cannot be read count

  // The position that predicts a token is the one before it, so the first of all has none.
  std::int64_t trained_tokens() const {
    return static_cast<std::int64_t>(ids.size()) - std::max<std::int64_t>(prompt_length, 1);
  }
};

enum class ExampleOutcome {
  kWhole,
  kTruncated,
  kLongPrompt,
  kOverlong,
  kEmpty
};  // the last three: no example

struct MadeExample {
  Example example;
  ExampleOutcome outcome = ExampleOutcome::kWhole;
  std::int64_t prompt_tokens = 0, output_tokens = 0;  // before any cut, without end of sequence
};

// Turns rows into examples. Stateless after construction.
class ExampleMaker {
 public:
  // Throws UserError where an end of sequence is asked for and the encoder has none. Both arguments outlive
  // it.
  ExampleMaker(const ExampleEncoder& encoder, const ExampleOptions& options);

  MadeExample make(std::string_view input, std::string_view output) const;

 private:
  const ExampleEncoder& encoder_;
  const ExampleOptions& options_;
  std::optional<std::int32_t> eos_id_;  // nothing: not to append
  std::size_t leading_specials_;
};

}  // namespace anneal
