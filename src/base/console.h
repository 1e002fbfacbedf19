// What a person sees of a command on standard output: lines that stay, and one line of progress.
#pragma once
#include <string>

namespace anneal {

class Console {
 public:
  Console();
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void say(const std::string& line);       // stays on the screen
  void progress(const std::string& line);  // replaced by the next; only on a terminal
  bool is_terminal() const { return is_terminal_; }

 private:
  void clear_progress();
  bool is_terminal_;
  bool has_progress_ = false;
};

}  // namespace anneal
