// Chats as the model's own template writes them, by a child process: python/render_chats.py says how.
#pragma once
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/answering_process.h"
#include "formats/json_object.h"

namespace anneal {

struct RenderedChat {
  std::string text;
  std::vector<std::size_t> bounds;  // begin and end in bytes, in turn, of what the model is to write
  bool is_closed = false;           // the last of it ends in a token of the template
  std::string refusal;              // why the template does not take the row; empty where it does
};

// The last turn of the assistant, and what the model gets to write it.
struct ChatPrompt {
  std::string prompt, label;
  std::string closing;  // the token that ends the turn; empty where the template has none
  std::string refusal;
};

// May be used from several threads at once; the child is started by the first call.
class ChatRenderer {
 public:
  // `added_tokens`: of the model's tokenizer.
  ChatRenderer(std::filesystem::path model_folder, std::vector<std::string> added_tokens);

  // `rows`: JSON objects with "messages" and perhaps "tools". Throws UserError(kModel) where the model has no
  // template that can be used, and UserError(kResources) where the child cannot work.
  std::vector<RenderedChat> render(std::span<const std::string_view> rows);
  std::vector<ChatPrompt> prompts(std::span<const std::string_view> rows);

 private:
  void start();
  template <class Answer, class Read>
  std::vector<Answer> ask(const char* what, std::span<const std::string_view> rows, const Read& read);

  std::filesystem::path folder_;
  std::vector<std::string> added_tokens_;
  std::mutex mutex_;
  std::unique_ptr<AnsweringProcess> child_;
};

}  // namespace anneal
