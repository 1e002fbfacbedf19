// What a person sees of a command: lines that stay, and one line of progress. Or, for a program, one JSON
// object a line.
#pragma once
#include <cstdio>
#include <string>

#include "base/console_options.h"
#include "base/error.h"
#include "base/json.h"

namespace anneal {

// What every Console of this process goes by, from now on.
void set_console_style(const ConsoleOptions& style);

class Console {
 public:
  // Of several processes that do the same, one speaks.
  explicit Console(std::FILE* to = stdout, bool speaks = true);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // Stays on the screen. A line that begins with "warning: " is said to the quiet too.
  void say(const std::string& line);
  // Figures, and the line that says them to a person.
  void say_figures(const Json& figures, const std::string& line);
  void progress(const std::string& line);  // replaced by the next; only on a terminal
  void clear_progress();                   // before others write to the same terminal
  bool shows_progress() const;             // whether progress() does anything
  bool has_color() const { return has_color_; }

 private:
  void write(const std::string& line);
  std::FILE* to_;
  bool speaks_, is_terminal_, has_color_;
  bool has_progress_ = false;
};

// On standard error, as "anneal COMMAND: ..." or as one object with "problems" and "exit_code".
void print_error(const std::string& command, const UserError& error);
// The same of a mistake of this program.
void print_internal_error(const std::string& command, const std::string& problem);

// For who watches over a command and writes to standard error by itself: "anneal COMMAND: text", or an
// object.
std::string aside_line(const std::string& command, const std::string& text);

// The line for a signal handler: text as it is, or an object.
std::string notice_line(const std::string& text);

}  // namespace anneal
