#include <fmt/format.h>

#include "report/chart.h"
#include "report/html.h"
#include "report/page_sections.h"

namespace anneal {
namespace {

double number_of(const Json& statistics, const char* key) {
  const auto found = statistics.find(key);
  return found != statistics.end() && found->is_number() ? found->get<double>() : 0;
}

std::string share_text(double part, double whole) {
  return whole > 0 ? fmt::format("{:g} ({:.1f} %)", part, 100 * part / whole) : fmt::format("{:g}", part);
}

std::string dropped_text(const Json& dropped) {
  std::string text;
  if (dropped.is_object())
    for (const auto& [reason, rows] : dropped.items())
      if (rows.is_number())
        text += fmt::format("{}{:g} {}", text.empty() ? "" : ", ", rows.get<double>(), reason);
  return text.empty() ? "0" : text;
}

// One column of the table: of training.jsonl, or of validation.jsonl.
std::vector<std::string> column_of(const Json& set) {
  const auto of = [&](const char* key) { return fmt::format("{:g}", number_of(set, key)); };
  return {of("rows"),
          of("samples"),
          of("tokens"),
          share_text(number_of(set, "trained_tokens"), number_of(set, "tokens")),
          of("p50") + " / " + of("p90") + " / " + of("longest"),
          share_text(number_of(set, "truncated"), number_of(set, "samples")),
          dropped_text(set.value("dropped", Json())),
          of("skipped")};
}

std::string set_table(const Json& samples) {
  std::vector<std::vector<std::string>> rows = {{"Rows read"},
                                                {"Samples"},
                                                {"Tokens"},
                                                {"Trained tokens (label share)"},
                                                {"Length: median / 90 % / longest"},
                                                {"Cut at the length limit"},
                                                {"Dropped"},
                                                {"Lines that cannot be read"}};
  std::vector<std::string> head = {""};
  for (const auto& [key, title] :
       {std::pair("training", "Training"), std::pair("validation", "Validation")}) {
    const auto set = samples.value(key, Json());
    if (!set.is_object() || number_of(set, "rows") == 0) continue;
    head.push_back(title);
    const auto column = column_of(set);
    for (std::size_t row = 0; row < rows.size(); ++row) rows[row].push_back(escaped(column[row]));
  }
  return head.size() == 1 ? "" : table_html(head, rows, true);
}

std::string lengths_html(const Json& samples, std::size_t number) {
  const auto training = samples.value("training", Json());
  const auto lengths = training.is_object() ? training.value("lengths", Json()) : Json();
  if (!lengths.is_object()) return "";
  Histogram histogram{fmt::format("lengths-{}", number),
                      "Lengths of training samples",
                      "tokens",
                      std::max(number_of(lengths, "bin_tokens"), 1.0),
                      {},
                      "tokens"};
  for (const auto& [key, name] :
       {std::pair("samples", "whole sample"), std::pair("trained", "trained tokens")}) {
    Histogram::Bars bars{name, {}};
    for (const auto& count : lengths.value(key, Json::array()))
      bars.counts.push_back(count.is_number() ? count.get<double>() : 0);
    histogram.bars.push_back(std::move(bars));
  }
  return histogram_html(histogram);
}

std::string source_html(const ReportedRun& run) {
  const auto& options = run.record["options"];
  const auto name = options.value("hfdc_dataset_name", Json());
  const auto folder = run.record.value("data", Json::object()).value("folder", Json());
  if (!run.data) return folder.is_string() ? "<p>Data: " + escaped(folder.get<std::string>()) + "</p>\n" : "";
  const auto& data = *run.data;
  auto text = fmt::format("Made from {} into {}: {} training, {} validation and {} test rows",
                          name.is_string() ? name.get<std::string>() : "the dataset",
                          folder.is_string() ? folder.get<std::string>() : "", data.training.rows,
                          data.validation.rows, data.test.rows);
  for (const auto& [reason, rows] : data.dropped) text += fmt::format("; {} rows dropped ({})", rows, reason);
  if (data.skipped_rows > 0) text += fmt::format("; {} rows that could not be read", data.skipped_rows);
  if (data.null_fields > 0) text += fmt::format("; {} values were null or missing", data.null_fields);
  return "<p>" + escaped(text) + ".</p>\n";
}

bool have_same_data(const ReportedRun& a, const ReportedRun& b) {
  return a.samples == b.samples && a.record.value("data", Json()) == b.record.value("data", Json());
}

// The runs that train on what `number` trains on; nothing where an earlier run does.
std::vector<std::size_t> group_of(const ReportedRuns& runs, std::size_t number) {
  std::vector<std::size_t> group;
  for (std::size_t other = 0; other < runs.size(); ++other) {
    if (!have_same_data(runs[other], runs[number])) continue;
    if (other < number) return {};
    group.push_back(other);
  }
  return group;
}

}  // namespace

std::string data_section(const ReportedRuns& runs) {
  std::string html;
  for (std::size_t number = 0; number < runs.size(); ++number) {
    const auto group = group_of(runs, number);
    if (group.empty()) continue;
    if (runs.size() > 1) {
      html += "<h3>";
      for (const auto member : group) html += swatch_html(member) + escaped(runs[member].name) + " ";
      html += "</h3>\n";
    }
    const auto& samples = runs[number].samples;
    html += source_html(runs[number]);
    if (samples.is_object())
      html += "<div class=\"beside\">\n" + set_table(samples) + lengths_html(samples, number) + "</div>\n";
  }
  return html.empty() ? "" : "<section id=\"data\">\n<h2>Data</h2>\n" + html + "</section>\n";
}

}  // namespace anneal
