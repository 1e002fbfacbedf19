#include "commands/tokenize_command.h"

#include <fmt/format.h>

#include <cstdio>
#include <iostream>

#include "base/console.h"
#include "base/json.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace anneal {
namespace {

std::string text_of_line(const std::string& line, std::size_t number, bool json_lines) {
  const std::string where = fmt::format("standard input, line {}", number);
  if (!is_valid_utf8(line))
    fail(ExitCode::kData, "the line is not valid UTF-8", where, "convert the input to UTF-8");
  if (!json_lines) return line;
  const Json json = parse_json(line, where, ExitCode::kData);
  if (!json.is_string())
    fail(ExitCode::kData, "the line is not a JSON string", where,
         "write one JSON string a line, or drop --json_lines");
  return json.get<std::string>();
}

}  // namespace

int run_tokenize(TokenizeOptions& options, const std::set<std::string>&) {
  const Tokenizer tokenizer = Tokenizer::load(
      fetch_model({options.hf_model_id, options.hf_model_revision}, ModelPart::kTokenizer,
                  /*is_offline=*/false, [](const std::string& line) { Console(stderr).say(line); }));
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    const std::string text = text_of_line(line, number, options.json_lines);
    const auto ids = tokenizer.encode(text, {options.add_special_tokens, options.special_in_text});
    OrderedJson out = {{"ids", ids}, {"pieces", OrderedJson::array()}};
    for (const auto id : ids) out["pieces"].push_back(tokenizer.piece(id));
    std::cout << out.dump() << '\n';
  }
  std::cout.flush();
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace anneal
