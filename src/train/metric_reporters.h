// wandb and mlflow: a child process, python/report_metrics.py, follows log.jsonl with their own clients.
// Nothing that happens to it touches training.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "base/child_process.h"

namespace anneal {

class MetricReporters {
 public:
  using Say = std::function<void(const std::string&)>;

  // Starts the child where `names` has one of its clients; `run` holds log.jsonl and run_config.json by now.
  // What prevents the start is a warning.
  MetricReporters(const std::set<std::string>& names, const std::filesystem::path& run, Say say);
  // The child sends first what log.jsonl holds, for some seconds at most.
  ~MetricReporters();
  MetricReporters(const MetricReporters&) = delete;
  MetricReporters& operator=(const MetricReporters&) = delete;

  // Says what the child wants said, and once, how it ended where that was not in order. Cheap: for every
  // step.
  void poll();

 private:
  void start(const std::filesystem::path& run);
  void relay();
  void await_answers();

  std::set<std::string> clients_, answered_;  // answered: has started or has said why not
  std::filesystem::path log_;                 // what the child prints
  std::uintmax_t relayed_ = 0;                // bytes of it
  Say say_;
  std::optional<ChildProcess> child_;
};

}  // namespace anneal
