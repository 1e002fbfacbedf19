#include "report/page.h"

#include <fmt/format.h>

#include "report/html.h"
#include "report/page_assets.h"
#include "report/page_sections.h"

namespace anneal {
namespace {

std::string title_of(const ReportedRuns& runs) {
  if (runs.size() == 1) return runs.front().name;
  return fmt::format("{} runs", runs.size());
}

std::string header_html(const ReportedRuns& runs) {
  std::string html = "<header><h1>" + escaped(title_of(runs)) + "</h1>\n";
  for (const auto& run : runs) html += "<p class=\"path\">" + escaped(run.folder.string()) + "</p>\n";
  return html + "</header>\n";
}

std::string notes_html(const ReportedRuns& runs) {
  std::string items;
  for (const auto& run : runs)
    for (const auto& note : run.notes)
      items += "<li>" + escaped(runs.size() > 1 ? run.name + ": " + note : note) + "</li>\n";
  return items.empty() ? "" : "<ul class=\"notes\">\n" + items + "</ul>\n";
}

}  // namespace

std::string report_page(const std::vector<ReportedRun>& runs, const Json& defaults) {
  // The policy lets the page ask for nothing, and run no script but its own.
  const auto policy =
      "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src " + script_hash(kPageScript);
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{}\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n"
      "<title>{} - anneal report</title>\n<style>{}</style>\n</head>\n<body>\n"
      "{}{}{}{}{}{}{}<footer>Made by anneal report.</footer>\n<script>{}</script>\n</body>\n</html>\n",
      kPageMark, policy, escaped(title_of(runs)), kPageStyle, header_html(runs), notes_html(runs),
      summary_section(runs), curves_section(runs), data_section(runs), predictions_section(runs),
      options_section(runs, defaults), kPageScript);
}

}  // namespace anneal
