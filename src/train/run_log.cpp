#include "train/run_log.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace anneal {

RunLog::RunLog(const std::filesystem::path& json_path)
    : file_(std::fopen(json_path.c_str(), "ae")), is_terminal_(::isatty(STDOUT_FILENO) == 1) {
  if (file_ == nullptr)
    fail(ExitCode::kUsage, std::string("cannot write: ") + std::strerror(errno), json_path.string(),
         "check the folder's permissions");
}

RunLog::~RunLog() {
  if (has_progress_) std::fputs("\r\033[K", stdout);
  std::fclose(file_);
}

void RunLog::say(const std::string& line) {
  if (has_progress_) std::fputs("\r\033[K", stdout);
  has_progress_ = false;
  std::fputs((line + "\n").c_str(), stdout);
  std::fflush(stdout);
}

void RunLog::progress(const std::string& line) {
  if (!is_terminal_) return;
  std::fputs(("\r\033[K" + line).c_str(), stdout);
  std::fflush(stdout);
  has_progress_ = true;
}

void RunLog::event(const Json& event) {
  // nlohmann writes NaN and infinities as null, which keeps the file valid JSON.
  const auto text = event.dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0)
    say(std::string("warning: log.jsonl cannot be written: ") + std::strerror(errno));
}

}  // namespace anneal
