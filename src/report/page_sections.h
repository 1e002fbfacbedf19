// The parts of the page, each as markup; "" where there is nothing to say.
#pragma once
#include <string>
#include <vector>

#include "report/run_files.h"

namespace anneal {

using ReportedRuns = std::vector<ReportedRun>;

// What stands for a run beside its name: the colour of its curves.
std::string swatch_html(std::size_t number);

std::string summary_section(const ReportedRuns& runs);
std::string curves_section(const ReportedRuns& runs);
std::string data_section(const ReportedRuns& runs);
std::string options_section(const ReportedRuns& runs, const Json& defaults);
std::string predictions_section(const ReportedRuns& runs);

}  // namespace anneal
