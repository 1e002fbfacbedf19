#include "eval/test_metrics.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/text_metrics.h"

namespace anneal {
namespace {

double mean_of(const TextMetric& metric, const TextPairs& pairs) {
  double sum = 0;
  for (std::size_t at = 0; at < pairs.labels.size(); ++at)
    sum += metric.of(pairs.predictions[at], pairs.labels[at]);
  return sum / static_cast<double>(pairs.labels.size());
}

std::string cell(const OrderedJson& metrics, const std::string& key) {
  return metrics.contains(key) && metrics[key].is_number() ? fmt::format("{:.4f}", metrics[key].get<double>())
                                                           : "";
}

}  // namespace

TextPairs pairs_without(const std::string& header, const std::vector<Prediction>& rows) {
  TextPairs pairs;
  for (const auto& row : rows) {
    pairs.predictions.push_back(std::string(without_header(header, row.prediction)));
    pairs.labels.push_back(std::string(without_header(header, row.label)));
  }
  return pairs;
}

OrderedJson measure_predictions(const std::vector<Prediction>& rows, const std::string& header,
                                const std::function<OrderedJson(const TextPairs&)>& bert_score) {
  const auto count = [&](const auto& is_one) { return std::count_if(rows.begin(), rows.end(), is_one); };
  OrderedJson metrics = {
      {"n", rows.size()},
      {"n_empty_prediction", count([](const Prediction& row) { return row.prediction.empty(); })},
      {"n_truncated", count([](const Prediction& row) { return row.finish_reason == "length"; })},
      {"n_prompt_too_long",
       count([](const Prediction& row) { return row.finish_reason == "prompt_too_long"; })},
      {"header", header}};
  const auto add = [&](const TextPairs& pairs, const std::string& ending) {
    for (const auto& metric : text_metrics()) metrics[metric.key + ending] = mean_of(metric, pairs);
    if (bert_score) metrics["bertscore" + ending] = bert_score(pairs);
  };
  add(pairs_without("", rows), "");
  if (!header.empty()) add(pairs_without(header, rows), "_stripped");
  return metrics;
}

std::string metrics_table(const OrderedJson& metrics) {
  std::string header = metrics.at("header");
  std::string text = fmt::format(
      "rows {}, empty predictions {}, cut at the length limit {}, prompts too long {}\n",
      metrics.at("n").get<std::int64_t>(), metrics.at("n_empty_prediction").get<std::int64_t>(),
      metrics.at("n_truncated").get<std::int64_t>(), metrics.at("n_prompt_too_long").get<std::int64_t>());
  text += fmt::format("{:<20} {:>8}{}", "", "score",
                      header.empty() ? "" : "  without the header " + Json(header).dump());
  const auto add = [&](const std::string& title, const std::string& score, const std::string& stripped) {
    text += fmt::format("\n{:<20} {:>8}{}", title, score,
                        stripped.empty() ? "" : fmt::format("  {:>8}", stripped));
  };
  for (const auto& metric : text_metrics())
    add(metric.title, cell(metrics, metric.key), cell(metrics, std::string(metric.key) + "_stripped"));
  if (metrics.contains("bertscore"))
    for (const char* part : {"precision", "recall", "f1"})
      add(fmt::format("BERTScore {}", part), cell(metrics["bertscore"], part),
          metrics.contains("bertscore_stripped") ? cell(metrics["bertscore_stripped"], part) : "");
  return text;
}

}  // namespace anneal
