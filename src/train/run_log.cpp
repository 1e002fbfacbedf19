#include "train/run_log.h"

#include <cerrno>
#include <cstring>

namespace anneal {

RunLog::RunLog(const std::filesystem::path& json_path) : file_(std::fopen(json_path.c_str(), "ae")) {
  if (file_ == nullptr)
    fail(ExitCode::kUsage, std::string("cannot write: ") + std::strerror(errno), json_path.string(),
         "check the folder's permissions");
}

RunLog::~RunLog() { std::fclose(file_); }

void RunLog::event(const Json& event) {
  // nlohmann writes NaN and infinities as null, which keeps the file valid JSON.
  const auto text = event.dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0)
    say(std::string("warning: log.jsonl cannot be written: ") + std::strerror(errno));
}

}  // namespace anneal
