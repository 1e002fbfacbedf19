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
  explicit RunLog(const std::filesystem::path& json_path);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  void say(const std::string& line) { console_.say(line); }
  void progress(const std::string& line) { console_.progress(line); }
  void event(const Json& event);  // to log.jsonl, flushed; values that are not finite become null

 private:
  std::FILE* file_;
  Console console_;
};

}  // namespace anneal
