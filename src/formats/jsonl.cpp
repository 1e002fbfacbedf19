#include "formats/jsonl.h"

#include <optional>

#include "base/json.h"

namespace anneal {
namespace {

constexpr const char* kRemedy = "correct the line, or allow some bad ones with --skip_bad_rows N";

// What is wrong with a row's messages, whatever a template may ask of them beside; "" where nothing is.
std::string defect_of_messages(simdjson::dom::element messages) {
  simdjson::dom::array list;
  if (messages.get_array().get(list) != simdjson::SUCCESS) return "the value of \"messages\" is not an array";
  if (list.size() == 0) return "there are no messages";
  std::size_t place = 0;
  for (const auto message : list) {
    std::string_view role;
    if (!message.is_object()) return "message " + std::to_string(place) + " is not an object";
    if (message["role"].get_string().get(role) != simdjson::SUCCESS)
      return "message " + std::to_string(place) + " has no text \"role\"";
    ++place;
  }
  return "";
}

}  // namespace

DataRow DataRowParser::parse(const Line& line) {
  const auto refuse = [&](std::string reason, std::size_t offset = 0) {
    throw BadRow(std::move(reason), place_of(file_, line.number, line.offset + offset), kRemedy);
  };
  DataRow pair;
  bool has_input = false, has_output = false;
  std::optional<std::string> defect_of_chat;
  try {
    for (const auto field : parser_.parse(line.text, line.readable_after)) {
      if (field.key == "messages") defect_of_chat = defect_of_messages(field.value);
      const bool is_input = field.key == "input";
      if (!is_input && field.key != "output") continue;
      auto& seen = is_input ? has_input : has_output;
      const std::string quoted = is_input ? "\"input\"" : "\"output\"";
      if (std::exchange(seen, true)) refuse("the key " + quoted + " stands twice");
      if (field.value.get_string().get(is_input ? pair.input : pair.output) != simdjson::SUCCESS)
        refuse("the value of " + quoted + " is not a string");
    }
  } catch (const JsonDefect& defect) {
    if (defect.only_a_large_number) return slow_parse(line);
    refuse(defect.reason, defect.offset);
  }
  if (!has_input && !has_output && defect_of_chat) {
    if (!defect_of_chat->empty()) refuse(*defect_of_chat);
    pair.chat = line.text;
    return pair;
  }
  if (!has_input) refuse("the key \"input\" is missing");
  if (!has_output) refuse("the key \"output\" is missing");
  return pair;
}

// Extra keys may hold numbers of any size.
DataRow DataRowParser::slow_parse(const Line& line) {
  const auto place = place_of(file_, line.number, line.offset);
  try {
    const Json object = parse_json(line.text, place, ExitCode::kData);
    if (object.contains("messages") && !object.contains("input"))
      fail(ExitCode::kData, "there is a number that 64 bits do not hold", place, kRemedy);
    input_ = required<std::string>(object, "input", place, ExitCode::kData);
    output_ = required<std::string>(object, "output", place, ExitCode::kData);
    return {input_, output_};
  } catch (const UserError& error) {
    throw BadRow(error.problems()[0].problem, place, kRemedy);
  }
}

DataRowReader::DataRowReader(const std::filesystem::path& path, std::int64_t skip_bad_rows)
    : file_(path, ExitCode::kData),
      behind_(file_.text()),
      lines_(file_.text()),
      parser_(path.string()),
      bad_rows_(skip_bad_rows) {}

bool DataRowReader::next(DataRow& pair) {
  while (lines_.next(line_)) {
    behind_.pass(line_.offset);
    try {
      pair = parser_.parse(line_);
      return true;
    } catch (const BadRow& row) {
      bad_rows_.spend(row);
    }
  }
  return false;
}

void append_text_pair(std::string& text, std::string_view input, std::string_view output) {
  text += "{\"input\": ";
  append_json_string(text, input);
  text += ", \"output\": ";
  append_json_string(text, output);
  text += "}\n";
}

}  // namespace anneal
