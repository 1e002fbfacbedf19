// How rows become token sequences.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/fields.h"

namespace anneal {

struct ExampleOptions {
  std::int64_t max_seq_length = 2048;
  bool add_eos = true;
  std::optional<std::string> eos_token;
  std::string long_prompt = "drop";
  std::string on_overlong_output = "truncate";
  bool special_in_text = true;

  static void fields(auto& c, auto field) {
    field("max_seq_length", c.max_seq_length,
          "Tokens of prompt, output and end of sequence together. The default clamps to the model's limit; a "
          "larger "
          "explicit value is an error.",
          FieldTraits{.minimum = 2});
    field("add_eos", c.add_eos, "Append the end-of-sequence token to each output and train it.");
    field("eos_token", c.eos_token, "The end-of-sequence token to append. Default: the tokenizer's own.");
    field("long_prompt", c.long_prompt, "What to do with a prompt that leaves no room for an output.",
          FieldTraits{.choices = {"drop", "left_truncate", "error"}});
    field("on_overlong_output", c.on_overlong_output,
          "What to do where prompt and output together are too long: cut the output, without end of "
          "sequence, or "
          "drop the sample.",
          FieldTraits{.choices = {"truncate", "drop"}});
    field("special_in_text", c.special_in_text,
          "Text in the data that looks like a special token becomes that token. --no_special_in_text encodes "
          "it as "
          "plain text.");
  }
};

}  // namespace anneal
