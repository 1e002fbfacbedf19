// What a run's folder holds, read for a page about it.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/manifest.h"

namespace anneal {

// One row of predictions.jsonl, with the scores of text_metrics() in their order.
struct ReportedPrediction {
  std::int64_t index = 0;
  std::string input, label, prediction, finish_reason;
  std::vector<double> scores;
};

// What `anneal test` wrote about one checkpoint.
struct ReportedTest {
  std::string checkpoint;
  Json metrics;
  std::vector<ReportedPrediction> predictions;  // the first rows of the file
};

enum class RunStatus { kDone, kGoing, kNotFinished };

struct ReportedRun {
  std::string name;
  std::filesystem::path folder;
  Json record;  // run_config.json
  std::vector<Json>
      events;    // of log.jsonl: objects with a number "step", their other figures numbers or null
  Json results;  // all_results.json; null where the run has not ended
  Json samples;  // samples.json; null where the run has none
  std::optional<Manifest> data;
  std::vector<ReportedTest> tests;
  RunStatus status = RunStatus::kNotFinished;
  std::vector<std::string> notes;  // what could not be read, for the reader of the page
};

constexpr std::int64_t kScoredPredictions = 1000;  // rows of a test that are read

// Throws UserError: kUsage where no run lies there, kModel where its run_config.json cannot be read. Whatever
// else is missing or damaged becomes a note.
ReportedRun read_reported_run(const std::filesystem::path& folder);

}  // namespace anneal
