#include "train/run_log.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/file.h"

namespace anneal {
namespace {

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

RunLog::~RunLog() {
  if (file_ != nullptr) std::fclose(file_);
}

void RunLog::open(const std::filesystem::path& folder, const Json& history) {
  const auto path = folder / "log.jsonl";
  std::string lines;
  for (const auto& event : history) lines += event.dump() + "\n";
  write_file_atomically(path, lines);
  history_ = history;
  file_ = std::fopen(path.c_str(), "ae");
  if (file_ == nullptr)
    fail(ExitCode::kUsage, std::string("cannot write: ") + std::strerror(errno), path.string(),
         "check the folder's permissions");
}

void RunLog::event(Json event) {
  event["wall_time"] = wall_time();
  for (auto& [key, value] : event.items())
    if (value.is_number_float() && !std::isfinite(value.get<double>())) value = nullptr;
  const auto text = event.dump() + "\n";
  history_.push_back(std::move(event));
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0)
    say(std::string("warning: log.jsonl cannot be written: ") + std::strerror(errno));
}

void RunLog::sync() { ::fdatasync(::fileno(file_)); }

}  // namespace anneal
