#include "report/run_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "base/folder_entries.h"
#include "base/nearest.h"
#include "data/sample_statistics.h"
#include "formats/lines.h"
#include "text/text_metrics.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecord = "run_config.json";
constexpr std::size_t kNamedLines = 3;  // of those that are damaged

bool holds_run(const fs::path& folder) {
  std::error_code error;
  return fs::is_regular_file(folder / kRecord, error);
}

[[noreturn]] void fail_without_run(const fs::path& folder) {
  if (!is_folder(folder)) {
    const auto nearest = nearest_path(folder);
    fail(ExitCode::kUsage, "there is no such folder", folder.string(),
         nearest.empty() ? "name a run's folder, such as results/<run_name>"
                         : "did you mean " + nearest + "?");
  }
  std::string runs;
  for (const auto& entry : entries_of(folder))
    if (holds_run(entry)) runs += " " + entry.string();
  fail(ExitCode::kUsage, "holds no run: there is no " + std::string(kRecord), folder.string(),
       runs.empty() ? "name a run's folder, such as results/<run_name>"
                    : "name one or more of its runs:" + runs);
}

// A file that may be missing; a damaged one becomes a note.
Json read_if_there(const fs::path& path, std::vector<std::string>& notes) {
  std::error_code error;
  if (!fs::exists(path, error)) return nullptr;
  try {
    auto json = read_json_file(path, ExitCode::kData);
    if (json.is_object()) return json;
    notes.push_back(path.filename().string() + " is left out: it is not a JSON object.");
  } catch (const UserError& problem) {
    notes.push_back(path.filename().string() + " is left out: " + problem.problems().front().problem + ".");
  }
  return nullptr;
}

bool is_event(const Json& event) {
  if (!event.is_object() || !event.contains("step") || !event["step"].is_number()) return false;
  return std::all_of(event.begin(), event.end(),
                     [](const Json& value) { return value.is_number() || value.is_null(); });
}

void note_damaged(const std::vector<std::int64_t>& lines, const char* file, std::vector<std::string>& notes) {
  if (lines.empty()) return;
  std::string named;
  for (std::size_t at = 0; at < std::min(lines.size(), kNamedLines); ++at)
    named += (at == 0 ? "" : ", ") + std::to_string(lines[at]);
  if (lines.size() > kNamedLines) named += " and " + std::to_string(lines.size() - kNamedLines) + " more";
  notes.push_back(std::string(file) + ": " + (lines.size() == 1 ? "line " : "lines ") + named +
                  " cannot be read and " + (lines.size() == 1 ? "is" : "are") + " left out.");
}

// The events of a log. Its last line may be in the middle of being written.
std::vector<Json> read_log(const fs::path& path, std::vector<std::string>& notes) {
  const MappedFile file(path, ExitCode::kData);
  std::vector<Json> events;
  std::vector<std::int64_t> damaged;
  LineCursor lines(file.text());
  for (Line line; lines.next(line);) {
    auto event = Json::parse(line.text, nullptr, /*allow_exceptions=*/false);
    const bool is_whole = line.offset + line.text.size() < file.text().size();
    if (is_event(event))
      events.push_back(std::move(event));
    else if (is_whole)
      damaged.push_back(line.number);
  }
  note_damaged(damaged, "log.jsonl", notes);
  return events;
}

// The newest trainer_state.json below the folder, or nothing: it has the history of the log too.
fs::path newest_trainer_state(const fs::path& folder) {
  fs::path newest;
  fs::file_time_type newest_time;
  for (const auto& place : {folder, folder / "resume"})
    for (const auto& entry : entries_of(place)) {
      const auto path = entry.filename() == "trainer_state.json" ? entry : entry / "trainer_state.json";
      std::error_code error;
      const auto time = fs::last_write_time(path, error);
      if (!error && (newest.empty() || time > newest_time)) {
        newest = path;
        newest_time = time;
      }
    }
  return newest;
}

std::vector<Json> read_events(const fs::path& folder, std::vector<std::string>& notes) {
  std::error_code error;
  if (fs::exists(folder / "log.jsonl", error)) {
    try {
      return read_log(folder / "log.jsonl", notes);
    } catch (const UserError& problem) {
      notes.push_back("log.jsonl is left out: " + problem.problems().front().problem + ".");
    }
  }
  const auto state = newest_trainer_state(folder);
  std::vector<Json> events;
  if (!state.empty()) {
    const auto json = read_if_there(state, notes);
    const auto history = json.is_object() ? json.value("log_history", Json()) : Json();
    if (history.is_array())
      std::copy_if(history.begin(), history.end(), std::back_inserter(events), is_event);
  }
  if (!events.empty())
    notes.push_back("There is no log.jsonl: the figures are those of " +
                    state.lexically_relative(folder).string() + ".");
  return events;
}

// Whether a process holds the run's lock. The lock is not tried: a run that starts meanwhile must find it
// free.
bool is_locked(const fs::path& lock) {
  struct stat status {};
  if (::stat(lock.c_str(), &status) != 0) return false;
  std::ifstream locks("/proc/locks");
  const auto inode = ":" + std::to_string(status.st_ino);
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string id, type, mode, access, process, file;
    words >> id >> type >> mode >> access >> process >> file;
    if (type == "FLOCK" && file.ends_with(inode)) return true;
  }
  return false;
}

std::string text_or_empty(const Json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_string() ? found->get<std::string>() : "";
}

std::vector<ReportedPrediction> read_predictions(const fs::path& path, const std::string& header,
                                                 std::vector<std::string>& notes) {
  const MappedFile file(path, ExitCode::kData);
  std::vector<ReportedPrediction> rows;
  std::vector<std::int64_t> damaged;
  LineCursor lines(file.text());
  for (Line line; static_cast<std::int64_t>(rows.size()) < kScoredPredictions && lines.next(line);) {
    const auto json = Json::parse(line.text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("prediction")) {
      damaged.push_back(line.number);
      continue;
    }
    ReportedPrediction row{line.number - 1,
                           text_or_empty(json, "input"),
                           text_or_empty(json, "label"),
                           text_or_empty(json, "prediction"),
                           text_or_empty(json, "finish_reason"),
                           {}};
    for (const auto& metric : text_metrics())
      row.scores.push_back(
          metric.of(without_header(header, row.prediction), without_header(header, row.label)));
    rows.push_back(std::move(row));
  }
  note_damaged(damaged, "predictions.jsonl", notes);
  return rows;
}

std::vector<ReportedTest> read_tests(const fs::path& folder, std::vector<std::string>& notes) {
  std::vector<ReportedTest> tests;
  for (const auto& entry : entries_of(folder / "eval")) {
    auto metrics = read_if_there(entry / "metrics.json", notes);
    if (!metrics.is_object()) continue;
    ReportedTest test{entry.filename().string(), std::move(metrics), {}};
    try {
      test.predictions =
          read_predictions(entry / "predictions.jsonl", text_or_empty(test.metrics, "header"), notes);
    } catch (const UserError& problem) {
      notes.push_back("The predictions of " + test.checkpoint +
                      " are left out: " + problem.problems().front().problem + ".");
    }
    tests.push_back(std::move(test));
  }
  return tests;
}

std::optional<Manifest> data_of(const Json& record) {
  const auto data = record.value("data", Json::object());
  const auto folder = text_or_empty(data, "folder");
  auto manifest = folder.empty() ? std::nullopt : read_manifest(folder);
  // The folder may hold other data by now.
  if (manifest && manifest->data_sha256() != text_or_empty(data, "sha256")) return std::nullopt;
  return manifest;
}

}  // namespace

ReportedRun read_reported_run(const fs::path& folder) {
  if (!holds_run(folder)) fail_without_run(folder);
  ReportedRun run;
  run.folder = folder;
  const auto whole = fs::weakly_canonical(folder);
  run.name = whole.filename().string();
  run.record = read_json_file(folder / kRecord, ExitCode::kModel);
  if (!run.record.is_object() || !run.record.value("options", Json()).is_object())
    fail(ExitCode::kModel, "is not the record of a run: there are no \"options\"",
         (folder / kRecord).string(), "name a folder that anneal train has written");
  run.events = read_events(folder, run.notes);
  run.results = read_if_there(folder / "all_results.json", run.notes);
  run.samples = read_if_there(folder / kSampleStatistics, run.notes);
  run.data = data_of(run.record);
  run.tests = read_tests(folder, run.notes);
  if (is_locked(folder / ".lock"))
    run.status = RunStatus::kGoing;
  else if (run.results.is_object())
    run.status = RunStatus::kDone;
  if (run.events.empty()) run.notes.push_back("Nothing is logged yet.");
  return run;
}

}  // namespace anneal
