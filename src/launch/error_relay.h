// Passes what a rank writes to its standard error on to ours, and remembers its end.
#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace anneal {

class ErrorRelay {
 public:
  // Without a prefix every byte is passed on as it comes; with one, every line that holds something, after
  // it.
  ErrorRelay(int to, std::string prefix) : to_(to), prefix_(std::move(prefix)) {}

  void take(std::string_view bytes);
  void finish();  // a last line without a line feed
  std::vector<std::string> last_lines() const { return {last_lines_.begin(), last_lines_.end()}; }

 private:
  void take_line();

  int to_;
  std::string prefix_, line_;
  std::deque<std::string> last_lines_;
};

// Writes all of it, whatever becomes of it; what stands in a terminal's last line, a line of progress, makes
// room.
void write_notice(int to, std::string text);

}  // namespace anneal
