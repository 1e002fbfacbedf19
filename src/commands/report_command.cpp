#include "commands/report_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/console.h"
#include "base/file.h"
#include "base/options.h"
#include "engine/train_request.h"
#include "report/page.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMarkWithin = 1024;  // bytes from the beginning

fs::path output_of(const ReportOptions& options) {
  if (options.output) return *options.output;
  return (options.runs.size() == 1 ? fs::path(options.runs.front()) : fs::path(".")) / "report.html";
}

// A page of ours may be replaced, anything else may not.
void require_free(const fs::path& output) {
  std::error_code error;
  if (!fs::exists(output, error)) return;
  const bool is_ours =
      fs::is_regular_file(output) &&
      read_file(output, ExitCode::kUsage).substr(0, kMarkWithin).find(kPageMark) != std::string::npos;
  if (!is_ours)
    fail(ExitCode::kUsage, "is there already, and no page of anneal report", output.string(),
         "name another file with --output, or move this one away");
}

// Names that tell runs apart: with the folder above where two have the same.
void tell_apart(std::vector<ReportedRun>& runs) {
  std::vector<std::string> names;
  for (const auto& run : runs) names.push_back(run.name);
  for (auto& run : runs)
    if (std::count(names.begin(), names.end(), run.name) > 1) {
      const auto whole = fs::weakly_canonical(run.folder);
      run.name = (whole.parent_path().filename() / whole.filename()).string();
    }
}

}  // namespace

int run_report(ReportOptions& options, const std::set<std::string>&) {
  const auto output = output_of(options);
  require_free(output);
  std::vector<ReportedRun> runs;
  for (const auto& folder : options.runs) runs.push_back(read_reported_run(folder));
  tell_apart(runs);
  TrainRequest defaults;
  Console console;
  write_file_atomically(output, report_page(runs, OptionTable(defaults).to_json()));
  for (const auto& run : runs)
    for (const auto& note : run.notes) console.say(fmt::format("notice: {}: {}", run.name, note));
  console.say("report: " + output.string());
  return 0;
}

}  // namespace anneal
