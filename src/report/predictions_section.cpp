#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "report/html.h"
#include "report/page_sections.h"
#include "text/text_metrics.h"

namespace anneal {
namespace {

constexpr std::size_t kFirstRows = 6, kWorstRows = 4;
constexpr std::size_t kShownBytes = 1500;  // of a text
constexpr std::size_t kRankedBy = 1;       // ROUGE-L, among text_metrics()

std::string shown(const std::string& text) {
  if (text.size() <= kShownBytes) return escaped(text);
  auto end = kShownBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return escaped(text.substr(0, end)) +
         fmt::format(" <small>&hellip; {} more bytes</small>", text.size() - end);
}

std::string prediction_html(const ReportedPrediction& row) {
  std::string scores;
  for (std::size_t at = 0; at < row.scores.size(); ++at)
    scores += fmt::format("<span>{} {:.2f}</span> ", text_metrics()[at].title, row.scores[at]);
  if (row.finish_reason != "stop" && !row.finish_reason.empty())
    scores += "<span class=\"warning\">ended by: " + escaped(row.finish_reason) + "</span>";
  return fmt::format(
      "<article><h4>Row {} {}</h4><dl><dt>Prompt</dt><dd dir=\"auto\">{}</dd><dt>Label</dt><dd "
      "dir=\"auto\">{}</dd>"
      "<dt>Prediction</dt><dd dir=\"auto\">{}</dd></dl></article>\n",
      row.index, scores, shown(row.input), shown(row.label), shown(row.prediction));
}

std::string rows_html(const ReportedTest& test) {
  const auto& rows = test.predictions;
  std::string html;
  for (std::size_t at = 0; at < std::min(rows.size(), kFirstRows); ++at) html += prediction_html(rows[at]);
  if (rows.size() <= kFirstRows) return html;
  std::vector<const ReportedPrediction*> ranked;
  for (const auto& row : rows) ranked.push_back(&row);
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto* a, const auto* b) { return a->scores[kRankedBy] < b->scores[kRankedBy]; });
  html += fmt::format("<h4>Lowest {} among the first {} rows</h4>\n", text_metrics()[kRankedBy].title,
                      rows.size());
  for (std::size_t at = 0; at < std::min(ranked.size(), kWorstRows); ++at)
    html += prediction_html(*ranked[at]);
  return html;
}

std::string score_text(const Json& metrics, const std::string& key) {
  const auto found = metrics.find(key);
  return found != metrics.end() && found->is_number() ? fmt::format("{:.4f}", found->get<double>())
                                                      : "&ndash;";
}

std::string header_of(const ReportedTest& test) {
  const auto header = test.metrics.value("header", Json());
  return header.is_string() ? header.get<std::string>() : "";
}

std::string headers_html(const ReportedRuns& runs) {
  std::set<std::string> headers;
  for (const auto& run : runs)
    for (const auto& test : run.tests)
      if (!header_of(test).empty()) headers.insert(Json(header_of(test)).dump());
  std::string html;
  for (const auto& header : headers)
    html += "<p><small>Scores leave out what every label begins with: <code>" + escaped(header) +
            "</code></small></p>\n";
  return html;
}

// With a header, the scores are those without it.
std::vector<std::string> scores_of(const ReportedTest& test) {
  const std::string ending = header_of(test).empty() ? "" : "_stripped";
  std::vector<std::string> cells = {test.metrics.value("n", Json(0)).dump()};
  for (const auto& metric : text_metrics()) cells.push_back(score_text(test.metrics, metric.key + ending));
  const auto bert_score = test.metrics.value("bertscore" + ending, Json());
  cells.push_back(bert_score.is_object() ? score_text(bert_score, "f1") : "&ndash;");
  return cells;
}

}  // namespace

std::string predictions_section(const ReportedRuns& runs) {
  std::vector<std::string> head = {"Test", "Rows"};
  for (const auto& metric : text_metrics()) head.push_back(metric.title);
  head.push_back("BERTScore F1");
  std::vector<std::vector<std::string>> table;
  std::string samples;
  for (std::size_t number = 0; number < runs.size(); ++number)
    for (const auto& test : runs[number].tests) {
      const auto name = (runs.size() > 1 ? swatch_html(number) + escaped(runs[number].name) + " " : "") +
                        escaped(test.checkpoint);
      table.push_back({name});
      for (auto& cell : scores_of(test)) table.back().push_back(std::move(cell));
      samples += fmt::format("<details{}><summary>Samples of {}</summary>\n{}</details>\n",
                             samples.empty() ? " open" : "", name, rows_html(test));
    }
  if (table.empty()) return "";
  return "<section id=\"predictions\">\n<h2>Predictions <span>of anneal test</span></h2>\n" +
         table_html(head, table, true) + headers_html(runs) + samples + "</section>\n";
}

}  // namespace anneal
