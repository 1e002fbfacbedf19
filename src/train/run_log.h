// What a run says: lines for a person on standard output, its events in log.jsonl and for TensorBoard.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "base/console.h"
#include "base/file.h"
#include "base/json.h"
#include "train/event_stream.h"
#include "train/tensorboard_log.h"

namespace anneal {

struct RunLogFiles {
  std::filesystem::path folder;                      // log.jsonl lies there
  std::optional<std::filesystem::path> tensorboard;  // the folder of its files; none: it is not asked for
  // Of a run that goes on: the events of the state that it goes on from. What the files hold beyond them is
  // done again, and is taken away.
  std::optional<Json> history;
};

class RunLog {
 public:
  // Of several ranks one speaks and writes; the others only keep the history.
  explicit RunLog(bool speaks = true) : speaks_(speaks), console_(stdout, speaks) {}

  void say(const std::string& line) { console_.say(line); }
  void progress(const std::string& line) { console_.progress(line); }

  Console& console() { return console_; }  // for work that shows its own progress

  // Events go to the program at the other end of this descriptor too, from now on.
  void report_to(std::int64_t descriptor) { stream_.emplace(static_cast<int>(descriptor)); }

  // To be called before what follows.
  void open(const RunLogFiles& files);
  void text(const std::string& tag, const std::string& text);  // for TensorBoard
  // One object a line in log.jsonl; values that are not finite become null. What a full disk refuses is kept,
  // and tried again with the next event. `line` says it to a person, "" nothing.
  void event(Json event, const std::string& line = "");
  const Json& history() const { return history_; }
  // A state or checkpoint is complete; to be called on every rank, in the same order among the events.
  void saved(std::int64_t step, const std::filesystem::path& folder);
  void sync() const;             // makes the files durable; may be called on any thread
  void require_written() const;  // throws UserError(kResources)

 private:
  void note_reader(bool is_there);

  bool speaks_;
  Console console_;
  std::optional<AppendFile> file_;
  std::optional<TensorBoardLog> tensorboard_;
  Json history_ = Json::array();
  bool has_warned_ = false;
  std::optional<EventStream> stream_;
  bool has_reader_ = true;
};

}  // namespace anneal
