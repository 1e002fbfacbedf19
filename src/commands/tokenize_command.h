// anneal tokenize: ids and pieces of each line of standard input; or the text of ids.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "base/fields.h"
#include "hub/model.h"

namespace anneal {

struct TokenizeOptions {
  std::string hf_model_id;
  std::string hf_model_revision = "main";
  bool json_lines = false;
  bool add_special_tokens = true;
  bool special_in_text = true;
  bool decode = false;

  static void fields(auto& c, auto field) {
    field("hf_model_id", c.hf_model_id,
          "A folder that holds tokenizer.json, or the id of a model on the Hugging Face hub.",
          FieldTraits{.heading = "Tokenize"});
    field("hf_model_revision", c.hf_model_revision, "Branch, tag or commit of a model on the hub.");
    field("json_lines", c.json_lines, "Each input line is a JSON string instead of plain text.");
    field("add_special_tokens", c.add_special_tokens,
          "Add what the tokenizer puts around a text, such as BOS.");
    field("special_in_text", c.special_in_text, "Text that equals a special token becomes that token.");
    field("decode", c.decode,
          "Each input line is a JSON array of ids: gives their text, and what of it each id completes.");
  }

  void complete(const std::set<std::string>&, std::vector<Problem>& problems) const {
    if (hf_model_id.empty())
      problems.push_back(
          {"no tokenizer is given", "--hf_model_id", "give the folder that holds tokenizer.json, or an id"});
    else
      check_model_name(hf_model_id, "--hf_model_id", problems);
    check_revision(hf_model_revision, "--hf_model_revision", problems);
  }
};

// Returns the exit code; problems are thrown as UserError.
int run_tokenize(TokenizeOptions& options, const std::set<std::string>& given);

}  // namespace anneal
