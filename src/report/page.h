// The page about one run, or several beside each other: HTML that needs nothing from elsewhere.
#pragma once
#include <string>
#include <vector>

#include "report/run_files.h"

namespace anneal {

// Every page has it near its beginning: a file without it is not ours to overwrite.
constexpr const char* kPageMark = "<meta name=\"generator\" content=\"anneal report\">";

// `defaults`: the options of anneal train as they are where nothing is given. At least one run.
std::string report_page(const std::vector<ReportedRun>& runs, const Json& defaults);

}  // namespace anneal
