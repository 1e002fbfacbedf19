#include "launch/error_relay.h"

#include <unistd.h>

#include <cerrno>

namespace anneal {
namespace {

constexpr std::size_t kLinesKept = 20;
constexpr std::size_t kLineBytes = 4096;  // a longer one is cut into several

void write_all(int to, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(to, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

void ErrorRelay::take(std::string_view bytes) {
  if (prefix_.empty()) write_all(to_, bytes);
  for (const char c : bytes) {
    if (c != '\n') line_ += c;
    if (c == '\n' || line_.size() == kLineBytes) take_line();
  }
}

void ErrorRelay::finish() { take_line(); }

void ErrorRelay::take_line() {
  if (line_.empty()) return;
  if (!prefix_.empty()) write_notice(to_, prefix_ + line_ + "\n");
  last_lines_.push_back(std::move(line_));
  line_.clear();
  if (last_lines_.size() > kLinesKept) last_lines_.pop_front();
}

void write_notice(int to, std::string text) {
  if (::isatty(to) == 1) text.insert(0, "\r\033[K");
  write_all(to, text);
}

}  // namespace anneal
