#include "data/chat_row.h"

#include <algorithm>
#include <map>

namespace anneal {
namespace {

const std::map<std::string, std::string, std::less<>> kRoleOfSender = {
    {"human", "user"},          {"user", "user"},
    {"gpt", "assistant"},       {"chatgpt", "assistant"},
    {"assistant", "assistant"}, {"model", "assistant"},
    {"system", "system"},       {"observation", "tool"},
    {"tool", "tool"},           {"function_response", "tool"}};
constexpr const char* kCallSender =
    "function_call";  // its value is JSON: {"name", "arguments"}, or some of them

OrderedJson parse(std::string_view text, const std::string& what) {
  try {
    auto json = parse_ordered_json(text, what, ExitCode::kData);
    // Some datasets hold JSON as text.
    return json.is_string() ? parse_ordered_json(json.get<std::string>(), what, ExitCode::kData) : json;
  } catch (const UserError& error) {
    throw ChatDefect{what + " is not JSON: " + error.problems()[0].problem};
  }
}

OrderedJson parse_list(std::string_view text, const std::string& what) {
  if (text.find_first_not_of(" \t\r\n") == text.npos) return OrderedJson::array();
  auto list = parse(text, what);
  if (list.is_null()) return OrderedJson::array();
  if (!list.is_array()) throw ChatDefect{what + " is not a list"};
  return list;
}

std::string text_at(const OrderedJson& message, const char* key, const std::string& name) {
  const auto found = message.find(key);
  if (found == message.end() || !found->is_string())
    throw ChatDefect{name + " has no text \"" + std::string(key) + "\""};
  return *found;
}

OrderedJson function_of(const OrderedJson& function) {
  return {{"type", "function"}, {"function", function}};
}

OrderedJson message_of_call(const std::string& value, const std::string& name) {
  auto calls = parse(value, "the call of " + name);
  if (!calls.is_array()) calls = OrderedJson::array({calls});
  OrderedJson tool_calls = OrderedJson::array();
  for (const auto& call : calls) {
    if (!call.is_object() || !call.contains("name")) throw ChatDefect{"the call of " + name + " has no name"};
    tool_calls.push_back(function_of(call));
  }
  return {{"role", "assistant"}, {"tool_calls", tool_calls}};
}

OrderedJson message_of_sender(const OrderedJson& given, const std::string& name) {
  const auto sender = text_at(given, "from", name), value = text_at(given, "value", name);
  if (sender == kCallSender) return message_of_call(value, name);
  const auto role = kRoleOfSender.find(sender);
  if (role == kRoleOfSender.end())
    throw ChatDefect{name + " is from \"" + sender + "\", which is no known sender"};
  return {{"role", role->second}, {"content", value}};
}

void open_arguments(OrderedJson& message) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || !calls->is_array()) return;
  for (auto& call : *calls) {
    auto* function = call.is_object() && call.contains("function") ? &call["function"] : &call;
    if (!function->is_object() || !function->contains("arguments")) continue;
    auto& arguments = (*function)["arguments"];
    if (!arguments.is_string()) continue;
    auto opened = OrderedJson::parse(arguments.get<std::string>(), nullptr, false);
    if (opened.is_object()) arguments = std::move(opened);
  }
}

OrderedJson message_of(const OrderedJson& given, const std::string& name) {
  if (!given.is_object()) throw ChatDefect{name + " is not an object"};
  OrderedJson message = OrderedJson::object();
  if (!given.contains("role") && given.contains("from"))
    message = message_of_sender(given, name);
  else
    for (const auto& [key, value] : given.items())
      if (!value.is_null()) message[key] = value;
  text_at(message, "role", name);
  open_arguments(message);
  return message;
}

}  // namespace

OrderedJson chat_row(std::string_view messages, std::string_view tools) {
  OrderedJson row;
  bool is_sharegpt = false;
  for (const auto& given : parse_list(messages, "the list of messages")) {
    row["messages"].push_back(message_of(given, "message " + std::to_string(row["messages"].size())));
    is_sharegpt = is_sharegpt || given.contains("from");
  }
  if (row.is_null()) return row;
  auto list = parse_list(tools, "the list of tools");
  if (list.empty()) return row;
  for (auto& tool : list)
    if (is_sharegpt && tool.is_object() && !tool.contains("function")) tool = function_of(tool);
  row["tools"] = std::move(list);
  return row;
}

bool has_assistant_turn(const OrderedJson& row) {
  const auto& messages = row.at("messages");
  return std::any_of(messages.begin(), messages.end(),
                     [](const OrderedJson& message) { return message.at("role") == "assistant"; });
}

}  // namespace anneal
