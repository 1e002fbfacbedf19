#include "base/console.h"

#include <unistd.h>

#include <cstdio>

namespace anneal {

Console::Console() : is_terminal_(::isatty(STDOUT_FILENO) == 1) {}

Console::~Console() { clear_progress(); }

void Console::clear_progress() {
  if (has_progress_) std::fputs("\r\033[K", stdout);
  has_progress_ = false;
}

void Console::say(const std::string& line) {
  clear_progress();
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

void Console::progress(const std::string& line) {
  if (!is_terminal_) return;
  std::fputs(("\r\033[K" + line).c_str(), stdout);
  std::fflush(stdout);
  has_progress_ = true;
}

}  // namespace anneal
