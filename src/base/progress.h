// Long work on its way: one line that changes on a terminal, elsewhere a line now and then.
#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

#include "base/console.h"

namespace anneal {

class Progress {
 public:
  // "tokenizing", "rows". The clock starts now.
  Progress(Console& console, std::string work, std::string unit);

  // So many are done; any thread may say it. `note`: more to say, such as "310 tokens/s".
  void at(std::int64_t done, std::int64_t total, const std::string& note = "");
  double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;

  Console& console_;
  std::string work_, unit_;
  Clock::time_point start_ = Clock::now(), next_;
  std::mutex mutex_;
};

// "tokenizing: 1200/5000 rows, 310 tokens/s, 12s left"; `seconds` have passed.
std::string progress_text(const std::string& work, std::int64_t done, std::int64_t total,
                          const std::string& unit, const std::string& note, double seconds);

}  // namespace anneal
