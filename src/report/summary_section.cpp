#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <optional>

#include "base/duration.h"
#include "report/chart.h"
#include "report/html.h"
#include "report/page_sections.h"

namespace anneal {
namespace {

struct Figure {
  std::string title, value, note;  // value: "" where the run does not have it
};

std::vector<double> values_of(const ReportedRun& run, const char* key) {
  std::vector<double> values;
  for (const auto& event : run.events)
    if (const auto found = event.find(key); found != event.end() && found->is_number())
      values.push_back(found->get<double>());
  return values;
}

std::string time_text(double wall_time) {
  const auto seconds = static_cast<std::time_t>(wall_time);
  std::tm parts{};
  char text[32];
  ::gmtime_r(&seconds, &parts);
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

// The planned number of steps, where it is known before the data are.
std::optional<std::int64_t> planned_steps(const ReportedRun& run) {
  const auto& options = run.record["options"];
  const auto steps = options.value("max_steps", Json());
  if (!options.value("num_train_epochs", Json()).is_null() || !steps.is_number_integer()) return std::nullopt;
  return steps.get<std::int64_t>();
}

Figure status_of(const ReportedRun& run) {
  const auto steps = values_of(run, "step");
  const double last = steps.empty() ? 0 : *std::max_element(steps.begin(), steps.end());
  const auto planned = planned_steps(run);
  auto progress = fmt::format("step {:g}", last);
  if (planned) progress += fmt::format(" of {}", *planned);
  const auto times = values_of(run, "wall_time");
  const auto logged = times.empty() ? "" : ", logged " + time_text(times.back());
  switch (run.status) {
    case RunStatus::kGoing:
      return {"Status", "going on", progress + logged};
    case RunStatus::kNotFinished:
      return {"Status", "not finished", progress + logged};
    case RunStatus::kDone:
      break;
  }
  const bool is_early = run.results.value("stop_reason", Json()) == "early_stopping";
  return {"Status", is_early ? "stopped early" : "done", progress + logged};
}

Figure loss_of(const ReportedRun& run) {
  const auto losses = values_of(run, "loss");
  if (losses.empty()) return {"Training loss", "", ""};
  return {"Training loss", fmt::format("{:.4f}", losses.back()), fmt::format("from {:.4f}", losses.front())};
}

Figure eval_loss_of(const ReportedRun& run) {
  std::optional<std::pair<double, double>> best;  // loss, step
  for (const auto& event : run.events) {
    const auto loss = event.value("eval_loss", Json());
    if (loss.is_number() && (!best || loss.get<double>() < best->first))
      best = {loss.get<double>(), event["step"].get<double>()};
  }
  if (!best) return {"Best evaluation loss", "", ""};
  return {"Best evaluation loss", fmt::format("{:.4f}", best->first),
          fmt::format("step {:g}, perplexity {:.4g}", best->second, std::exp(best->first))};
}

Figure speed_of(const ReportedRun& run) {
  auto speeds = values_of(run, "tokens_per_second");
  if (speeds.empty()) return {"Speed", "", ""};
  const auto middle = speeds.begin() + static_cast<std::ptrdiff_t>(speeds.size() / 2);
  std::nth_element(speeds.begin(), middle, speeds.end());
  const auto shares = values_of(run, "limit_share");
  return {"Speed", short_number(*middle) + " tokens/s",
          shares.empty() ? "median"
                         : fmt::format("median; {:.0f} % of the limit at the end", 100 * shares.back())};
}

Figure memory_of(const ReportedRun& run) {
  const auto sizes = values_of(run, "memory_gb");
  if (sizes.empty()) return {"Peak memory", "", ""};
  return {"Peak memory", fmt::format("{:.3g} GB", *std::max_element(sizes.begin(), sizes.end())), ""};
}

Figure time_of(const ReportedRun& run) {
  const auto runtime = values_of(run, "train_runtime");
  if (!runtime.empty()) return {"Time", duration_text(runtime.back()), ""};
  const auto times = values_of(run, "wall_time");
  if (times.size() < 2) return {"Time", "", ""};
  return {"Time", duration_text(times.back() - times.front()), "since the first logged step"};
}

std::vector<Figure> figures_of(const ReportedRun& run) {
  return {status_of(run), loss_of(run), eval_loss_of(run), speed_of(run), memory_of(run), time_of(run)};
}

std::string tiles_html(const ReportedRun& run) {
  std::string html = "<dl class=\"tiles\">\n";
  for (const auto& [title, value, note] : figures_of(run))
    if (!value.empty())
      html += fmt::format("<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>\n", escaped(title),
                          escaped(value), escaped(note));
  return html + "</dl>\n";
}

std::string comparison_html(const ReportedRuns& runs) {
  std::vector<std::string> head = {"Run"};
  for (const auto& figure : figures_of(runs.front())) head.push_back(escaped(figure.title));
  std::vector<std::vector<std::string>> rows;
  for (std::size_t number = 0; number < runs.size(); ++number) {
    rows.push_back({swatch_html(number) + escaped(runs[number].name)});
    for (const auto& [title, value, note] : figures_of(runs[number]))
      rows.back().push_back(value.empty() ? "&ndash;"
                                          : escaped(value) + "<small>" + escaped(note) + "</small>");
  }
  return table_html(head, rows, true);
}

}  // namespace

std::string swatch_html(std::size_t number) {
  return fmt::format("<span class=\"swatch c{}{}\"></span>", number % kChartColors,
                     number >= kChartColors ? " dashed" : "");
}

std::string summary_section(const ReportedRuns& runs) {
  return "<section id=\"summary\">\n" +
         (runs.size() == 1 ? tiles_html(runs.front()) : comparison_html(runs)) + "</section>\n";
}

}  // namespace anneal
