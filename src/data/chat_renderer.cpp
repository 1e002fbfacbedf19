#include "data/chat_renderer.h"

#include "base/json.h"
#include "base/python_script.h"

namespace anneal {
namespace {

using simdjson::dom::element;

std::string text_of(element object, const char* key) {
  std::string_view text;  // stays empty where the key is missing or null
  if (object[key].get_string().get(text) != simdjson::SUCCESS) return "";
  return std::string(text);
}

}  // namespace

ChatRenderer::ChatRenderer(std::filesystem::path model_folder, std::vector<std::string> added_tokens)
    : folder_(std::move(model_folder)), added_tokens_(std::move(added_tokens)) {}

void ChatRenderer::start() {
  const auto command = python_command("render_chats.py", PythonChoice::kOfProgram, "jinja2");
  auto child = std::make_unique<AnsweringProcess>(command);
  const Json first = {{"model", folder_.string()}, {"added_tokens", added_tokens_}};
  const Json answer = Json::parse(child->ask(first.dump()));
  if (answer.contains("missing"))
    fail(ExitCode::kResources, "it lacks what renders chats: " + answer["missing"].get<std::string>(),
         command[0],
         command[0] + " -m pip install --upgrade jinja2; or name another Python in " + kPythonVariable);
  if (answer.contains("error"))
    fail(ExitCode::kModel, answer["error"].get<std::string>(), folder_.string(),
         "put a chat_template.jinja into the model's folder, or take a model that was tuned to chat");
  child_ = std::move(child);
}

template <class Answer, class Read>
std::vector<Answer> ChatRenderer::ask(const char* what, std::span<const std::string_view> rows,
                                      const Read& read) {
  if (rows.empty()) return {};
  std::string request = std::string("{\"ask\": \"") + what + "\", \"rows\": [";
  for (const auto row : rows) request.append(request.ends_with('[') ? "" : ",").append(row);
  request += "]}";
  std::string line;
  {
    const std::lock_guard lock(mutex_);
    if (!child_) start();
    line = child_->ask(request);
  }
  simdjson::dom::parser parser;
  std::vector<Answer> answers;
  const simdjson::dom::array objects = parser.parse(line)["rows"];
  for (const element object : objects) {
    answers.emplace_back();
    answers.back().refusal = text_of(object, "error");
    if (answers.back().refusal.empty()) read(object, answers.back());
  }
  return answers;
}

std::vector<RenderedChat> ChatRenderer::render(std::span<const std::string_view> rows) {
  return ask<RenderedChat>("training", rows, [](element object, RenderedChat& chat) {
    chat.text = text_of(object, "text");
    const simdjson::dom::array bounds = object["bounds"];
    for (const element bound : bounds) chat.bounds.push_back(std::uint64_t(bound));
    chat.is_closed = bool(object["closed"]);
  });
}

std::vector<ChatPrompt> ChatRenderer::prompts(std::span<const std::string_view> rows) {
  return ask<ChatPrompt>("prompts", rows, [](element object, ChatPrompt& prompt) {
    prompt.prompt = text_of(object, "prompt");
    prompt.label = text_of(object, "label");
    prompt.closing = text_of(object, "closing");
  });
}

}  // namespace anneal
