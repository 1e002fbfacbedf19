// What a run tells the program that has started it (Ray's worker): one JSON object a line on a descriptor
// that the program has left open. Every rank writes the same sequence: "seq", "step" and "checkpoint" are
// equal.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/json.h"

namespace anneal {

class EventStream {
 public:
  explicit EventStream(int descriptor);  // takes it over
  ~EventStream();
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;

  // Figures of a step: an event of log.jsonl. Whether the reader is still there.
  bool report(const Json& event);
  // A folder that is complete, with the latest value of every figure reported before it.
  bool report_saved(std::int64_t step, const std::filesystem::path& folder);

 private:
  bool write(std::int64_t step, const Json& metrics, const Json& checkpoint);

  int descriptor_;
  std::int64_t seq_ = 0;
  Json latest_ = Json::object();
  bool has_reader_ = true;
};

}  // namespace anneal
