#include "train/metric_reporters.h"

#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/python_script.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "report ";  // then the client's name, then what is to be said
// A run that is done before the Python clients are loaded waits for them.
constexpr auto kStartLimit = std::chrono::seconds(30);
constexpr auto kPollInterval = std::chrono::milliseconds(20);

}  // namespace

MetricReporters::MetricReporters(const std::set<std::string>& names, const fs::path& run, Say say)
    : log_(run / "logs" / "report.log"), say_(std::move(say)) {
  for (const char* name : {"wandb", "mlflow"})
    if (names.count(name) != 0) clients_.insert(name);
  if (clients_.empty()) return;
  try {
    start(run);
  } catch (const std::exception& error) {
    say_(fmt::format("warning: metrics go to log.jsonl alone: {}", error.what()));
  }
}

void MetricReporters::start(const fs::path& run) {
  auto command = python_command("report_metrics.py", PythonChoice::kOfUser, "the clients");
  std::string list;
  for (const auto& client : clients_) list += (list.empty() ? "" : ",") + client;
  command.insert(command.end(), {"--run_dir", run.string(), "--report_to", list});
  fs::create_directories(log_.parent_path());
  child_.emplace(command, log_);
}

MetricReporters::~MetricReporters() {
  if (!child_) return;
  try {
    await_answers();
    child_.reset();
    relay();
  } catch (const std::exception&) {
    // The run is over, and its result stands.
  }
}

void MetricReporters::await_answers() {
  const auto deadline = std::chrono::steady_clock::now() + kStartLimit;
  for (poll(); child_ && answered_.size() < clients_.size() && std::chrono::steady_clock::now() < deadline;
       poll())
    std::this_thread::sleep_for(kPollInterval);
}

void MetricReporters::poll() {
  if (!child_) return;
  const bool is_running = child_->is_running();  // asked before reading: an ended child writes no more
  relay();
  if (is_running) return;
  const auto end = child_->end_text();
  child_.reset();
  // It ends by itself, and well, where each client has said why it cannot be reported to.
  if (answered_ == clients_ && end == "exit status 0") return;
  say_(fmt::format(
      "warning: no more metrics go to {}: the child process for them has ended ({}); training goes on; "
      "the next start of the same command sends what is missing; see {}",
      fmt::join(clients_, " and "), end, log_.string()));
}

void MetricReporters::relay() {
  std::error_code error;
  if (const auto size = fs::file_size(log_, error); error || size <= relayed_) return;
  std::ifstream file(log_, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(relayed_));
  for (std::string line; std::getline(file, line) && !file.eof();) {
    relayed_ += line.size() + 1;
    if (!line.starts_with(kPrefix)) continue;
    const auto end_of_name = line.find(' ', kPrefix.size());
    if (end_of_name == line.npos) continue;
    answered_.insert(line.substr(kPrefix.size(), end_of_name - kPrefix.size()));
    say_(line.substr(end_of_name + 1));
  }
}

}  // namespace anneal
