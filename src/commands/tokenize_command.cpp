#include "commands/tokenize_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <limits>

#include "base/console.h"
#include "base/json.h"
#include "tokenizer/decode_stream.h"
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

OrderedJson tokens_of_line(const std::string& line, std::size_t number, const TokenizeOptions& options,
                           const Tokenizer& tokenizer) {
  const std::string text = text_of_line(line, number, options.json_lines);
  const auto ids = tokenizer.encode(text, {options.add_special_tokens, options.special_in_text});
  OrderedJson out = {{"ids", ids}, {"pieces", OrderedJson::array()}};
  for (const auto id : ids) out["pieces"].push_back(tokenizer.piece(id));
  return out;
}

std::vector<std::int32_t> ids_of_line(const std::string& line, const std::string& where) {
  const Json json = parse_json(line, where, ExitCode::kData);
  const auto is_id = [](const Json& value) {
    return value.is_number_unsigned() && value <= std::numeric_limits<std::int32_t>::max();
  };
  if (!json.is_array() || !std::all_of(json.begin(), json.end(), is_id))
    fail(ExitCode::kData, "the line is not an array of ids", where,
         "write one JSON array of integers a line");
  return json.get<std::vector<std::int32_t>>();
}

// Its last part is what the ids before leave over: bytes that make no character.
OrderedJson text_of_ids(const std::string& line, std::size_t number, const Tokenizer& tokenizer) {
  const auto ids = ids_of_line(line, fmt::format("standard input, line {}", number));
  OrderedJson out = {{"text", tokenizer.decode(ids, /*skip_special_tokens=*/false)},
                     {"parts", OrderedJson::array()}};
  DecodeStream stream(tokenizer, /*skip_special_tokens=*/false);
  for (const auto id : ids) out["parts"].push_back(stream.add(id));
  out["parts"].push_back(stream.finish());
  return out;
}

}  // namespace

int run_tokenize(TokenizeOptions& options, const std::set<std::string>&) {
  const Tokenizer tokenizer = Tokenizer::load(
      fetch_model({options.hf_model_id, options.hf_model_revision}, ModelPart::kTokenizer,
                  /*is_offline=*/false, [](const std::string& line) { Console(stderr).say(line); }));
  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    const auto out = options.decode ? text_of_ids(line, number, tokenizer)
                                    : tokens_of_line(line, number, options, tokenizer);
    std::cout << out.dump() << '\n';
  }
  std::cout.flush();
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace anneal
