// anneal report: one page about a run, or about several beside each other.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fields.h"

namespace anneal {

struct ReportOptions {
  std::vector<std::string> runs;
  std::optional<std::string> output;

  static void fields(auto& c, auto field) {
    field("runs", c.runs, "The folder of a run, such as results/<run_name>.",
          FieldTraits{.positional = true, .heading = "Report"});
    field("output", c.output,
          "The page to write. Default: report.html in the run's folder, or of several runs in the current "
          "one.");
  }

  void complete(const std::set<std::string>&, std::vector<Problem>& problems) const {
    if (runs.empty())
      problems.push_back(
          {"no run is given", "--runs", "name the folder of a run, such as results/<run_name>"});
  }
};

// Returns the exit code; problems are thrown as UserError.
int run_report(ReportOptions& options, const std::set<std::string>& given);

}  // namespace anneal
