// A row as the model sees it: prompt tokens, then the tokens that are trained.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/chat_renderer.h"
#include "data/example_options.h"
#include "tokenizer/tokenizer.h"

namespace anneal {

// What examples need of a tokenizer. Called from several threads at once.
class ExampleEncoder {
 public:
  virtual ~ExampleEncoder() = default;
  // With the tokenizer's leading special tokens, never a trailing one.
  virtual std::vector<std::int32_t> encode_prompt(std::string_view text) const = 0;
  // Without special tokens, as the continuation of a text that stands before it.
  virtual std::vector<std::int32_t> encode_continuation(std::string_view text) const = 0;
  // Of a rendered chat, which brings its special tokens itself; see Tokenizer::encode_cut().
  virtual CutIds encode_chat(std::string_view text, std::span<const std::size_t> cuts) const = 0;
  virtual std::optional<std::int32_t> eos_id() const = 0;  // to append; nothing where none is
  // How many of them are special tokens.
  virtual std::int64_t count_specials(std::span<const std::int32_t> ids) const = 0;
  // Tokens that encode_prompt() puts before those of the text.
  virtual std::size_t leading_specials() const { return encode_prompt("").size(); }
};

// Positions that carry a loss. The one that predicts a token is the one before it, so the first of all has
// none. `untrained`: begin and end, in turn, of stretches behind `prompt_length` that are not trained.
std::int64_t count_trained(std::size_t tokens, std::int64_t prompt_length,
                           std::span<const std::int32_t> untrained);

struct Example {
  std::vector<std::int32_t> ids;
  std::int32_t prompt_length = 0;  // trained are ids[prompt_length..] but for `untrained`
  std::int64_t row = 0;            // of the file, from 0; lines that cannot be read count
  bool has_end = false;            // the last token is the end of sequence, or closes a template's turn
  std::vector<std::int32_t> untrained =
      {};                             // as in count_trained(): the turns between those of the assistant
  std::int64_t specials_in_text = 0;  // before any cut; of a chat none, which the template writes

  std::int64_t trained_tokens() const { return count_trained(ids.size(), prompt_length, untrained); }
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
  std::int64_t prompt_tokens = 0;  // before any cut
};

// Turns rows into examples. Stateless after construction.
class ExampleMaker {
 public:
  // Throws UserError where an end of sequence is asked for and the encoder has none. Both arguments outlive
  // it.
  ExampleMaker(const ExampleEncoder& encoder, const ExampleOptions& options);

  MadeExample make(std::string_view input, std::string_view output) const;
  // Tokens behind the last one that is trained change nothing, and are left out.
  MadeExample make(const RenderedChat& chat) const;

 private:
  // Of a prompt and what follows it. `example` holds what is known of the latter: untrained (counted from
  // there) and has_end.
  MadeExample join(std::vector<std::int32_t> prompt, std::vector<std::int32_t> trained,
                   Example example) const;

  const ExampleEncoder& encoder_;
  const ExampleOptions& options_;
  std::optional<std::int32_t> eos_id_;  // nothing: not to append
  std::size_t leading_specials_;
};

}  // namespace anneal
