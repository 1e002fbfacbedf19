#include <cmath>

#include "report/chart.h"
#include "report/html.h"
#include "report/page_sections.h"

namespace anneal {
namespace {

// A figure of log.jsonl and how it is drawn.
struct Curve {
  const char* key;
  const char* title;
  const char* unit;
  bool may_be_logarithmic;
  bool begins_at_zero;
};

constexpr Curve kCurves[] = {{"loss", "Training loss", "", false, false},
                             {"eval_loss", "Evaluation loss", "", false, false},
                             {"learning_rate", "Learning rate", "", false, true},
                             {"grad_norm", "Gradient norm", "before clipping", true, true},
                             {"tokens_per_second", "Speed", "tokens/s", false, true},
                             {"memory_gb", "Memory", "GB", false, true},
                             {"limit_share", "Share of the speed limit", "", false, true},
                             {"sent_gb", "Sent to other processes", "GB", false, true}};

std::vector<ChartPoint> points_of(const ReportedRun& run, const char* key) {
  std::vector<ChartPoint> points;
  for (const auto& event : run.events)
    if (const auto found = event.find(key); found != event.end())
      points.emplace_back(event["step"].get<double>(), found->is_number() ? found->get<double>() : NAN);
  return points;
}

std::string curve_html(const Curve& curve, const ReportedRuns& runs) {
  LineChart chart{curve.key, curve.title, curve.unit, {}, curve.may_be_logarithmic, curve.begins_at_zero};
  for (std::size_t number = 0; number < runs.size(); ++number)
    if (auto points = points_of(runs[number], curve.key); !points.empty())
      chart.series.push_back({runs[number].name, number, std::move(points), /*has_dots=*/true});
  return chart.series.empty() ? "" : line_chart_html(chart);
}

}  // namespace

std::string curves_section(const ReportedRuns& runs) {
  std::string charts;
  for (const auto& curve : kCurves) charts += curve_html(curve, runs);
  if (charts.empty()) return "";
  return "<section id=\"curves\">\n<h2>Curves <span>over steps</span></h2>\n<div class=\"charts\">\n" +
         charts + "</div>\n</section>\n";
}

}  // namespace anneal
