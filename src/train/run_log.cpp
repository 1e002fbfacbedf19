#include "train/run_log.h"

#include <cmath>
#include <utility>

#include "base/clock.h"

namespace anneal {

void RunLog::open(const RunLogFiles& files) {
  const auto path = files.folder / "log.jsonl";
  history_ = files.history.value_or(Json::array());
  if (!speaks_) return;
  std::string lines;
  for (const auto& event : history_) lines += event.dump() + "\n";
  write_file_atomically(path, lines);
  file_.emplace(path);
  if (files.tensorboard) tensorboard_.emplace(*files.tensorboard, files.history);
}

void RunLog::text(const std::string& tag, const std::string& text) {
  if (tensorboard_) tensorboard_->add_text(tag, text);
}

void RunLog::event(Json event, const std::string& line) {
  event["wall_time"] = wall_time();
  for (auto& [key, value] : event.items())
    if (value.is_number_float() && !std::isfinite(value.get<double>())) value = nullptr;
  if (!line.empty()) console_.say_figures(event, line);
  bool is_written = !file_ || file_->append(event.dump() + "\n");
  if (tensorboard_) is_written &= tensorboard_->add(event);
  if (stream_) note_reader(stream_->report(event));
  history_.push_back(std::move(event));
  if (!is_written && !std::exchange(has_warned_, true))
    say("warning: log.jsonl cannot be written for now; its lines are kept and tried again");
  if (is_written) has_warned_ = false;
}

void RunLog::saved(std::int64_t step, const std::filesystem::path& folder) {
  if (stream_) note_reader(stream_->report_saved(step, folder));
}

void RunLog::note_reader(bool is_there) {
  if (!is_there && std::exchange(has_reader_, false))
    say("warning: nobody reads --events_fd any more; training goes on");
}

void RunLog::sync() const {
  file_->sync();
  if (tensorboard_) tensorboard_->file().sync();
}

void RunLog::require_written() const {
  file_->require_written();
  if (tensorboard_) tensorboard_->file().require_written();
}

}  // namespace anneal
