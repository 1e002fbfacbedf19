// What a run says: lines for a person on standard output, one JSON object an event in log.jsonl.
#pragma once
#include <cstdio>
#include <filesystem>
#include <string>

#include "base/console.h"
#include "base/json.h"

namespace anneal {

class RunLog {
 public:
  ~RunLog();
  RunLog() = default;
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  // From now on events are kept in `folder`. `history` are the events of the state that the run goes on from: what
  // the files hold beyond them is done again, and is taken away.
  void open(const std::filesystem::path& folder, const Json& history);

  void say(const std::string& line) { console_.say(line); }
  void progress(const std::string& line) { console_.progress(line); }
  void event(Json event);  // flushed; values that are not finite become null
  const Json& history() const { return history_; }
  void sync();  // makes the files durable

 private:
  std::FILE* file_ = nullptr;
  Json history_ = Json::array();
  Console console_;
};

}  // namespace anneal
