#include "report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/json.h"
#include "report/html.h"

namespace anneal {
namespace {

// In units of the SVG; drawn about as large as this on a phone.
constexpr double kWidth = 420, kHeight = 230, kLeft = 46, kRight = 14, kTop = 8, kBottom = 24;
constexpr std::size_t kMostDots = 60;     // of a series that shows its points
constexpr double kLogarithmicFrom = 100;  // highest over lowest

// From values to a stretch of the picture.
struct Axis {
  double low = 0, high = 1, from = 0, to = 1;
  bool is_logarithmic = false;
  bool is_whole = false;  // of values that are whole numbers

  double at(double value) const {
    const auto share = is_logarithmic ? (std::log(value) - std::log(low)) / (std::log(high) - std::log(low))
                                      : (value - low) / (high - low);
    return from + share * (to - from);
  }
};

double nice_step(double span, int wanted) {
  const double raw = span / wanted, ten = std::pow(10, std::floor(std::log10(raw)));
  for (const double digit : {1.0, 2.0, 2.5, 5.0})
    if (raw <= digit * ten * (1 + 1e-9)) return digit * ten;
  return 10 * ten;
}

std::vector<double> ticks_of(const Axis& axis, int wanted) {
  std::vector<double> ticks;
  if (axis.is_logarithmic) {
    for (auto power = std::ceil(std::log10(axis.low) - 1e-9); power <= std::log10(axis.high) + 1e-9; ++power)
      ticks.push_back(std::pow(10, power));
    return ticks;
  }
  const double nice = nice_step(axis.high - axis.low, wanted), step = axis.is_whole ? std::ceil(nice) : nice;
  for (auto count = std::ceil(axis.low / step - 1e-9); count * step <= axis.high + step * 1e-9; ++count)
    ticks.push_back(count * step);
  return ticks;
}

// Room above and below; equal values get some too.
void widen(Axis& axis, bool begins_at_zero) {
  if (axis.is_logarithmic) {
    axis.low = std::pow(10, std::floor(std::log10(axis.low)));
    axis.high = std::pow(10, std::ceil(std::log10(axis.high)));
    return;
  }
  double span = axis.high - axis.low;
  if (span <= 0) span = std::max(std::abs(axis.high), 1e-12);
  const bool is_positive = axis.low >= 0;
  axis.low = begins_at_zero && is_positive ? 0 : axis.low - span * 0.05;
  if (is_positive) axis.low = std::max(axis.low, 0.0);
  axis.high += span * 0.05;
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool is_empty() const { return low > high; }
};

std::string frame_svg(const Axis& x, const Axis& y) {
  std::string svg = "<g class=\"grid\">";
  for (const auto tick : ticks_of(y, 5))
    svg += fmt::format(
        "<line x1=\"{0:g}\" x2=\"{1:g}\" y1=\"{2:.2f}\" y2=\"{2:.2f}\"/><text x=\"{3:g}\" y=\"{4:.2f}\" "
        "class=\"y\">{5}</text>",
        kLeft, kWidth - kRight, y.at(tick), kLeft - 5, y.at(tick) + 3.5, short_number(tick));
  for (const auto tick : ticks_of(x, 5))
    svg += fmt::format("<text x=\"{:.2f}\" y=\"{:g}\" class=\"x\">{}</text>", x.at(tick), kHeight - 7,
                       short_number(tick));
  return svg + "</g>";
}

std::string dot_svg(const Axis& x, const Axis& y, const ChartPoint& point) {
  return fmt::format("<circle cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"2.5\"/>", x.at(point.first),
                     y.at(point.second));
}

std::string series_svg(const ChartSeries& series, const Axis& x, const Axis& y) {
  std::string svg = fmt::format("<g class=\"series c{}{}\">", series.color % kChartColors,
                                series.color >= kChartColors ? " dashed" : "");
  std::string line, dots;
  std::size_t in_line = 0;
  const auto end_line = [&](const ChartPoint* last) {
    if (in_line > 1) svg += "<polyline points=\"" + line + "\"/>";
    if (in_line == 1 && last != nullptr) dots += dot_svg(x, y, *last);
    line.clear();
    in_line = 0;
  };
  const bool has_dots = series.has_dots && series.points.size() <= kMostDots;
  const ChartPoint* last = nullptr;
  for (const auto& point : series.points) {
    if (!std::isfinite(point.second)) {
      end_line(has_dots ? nullptr : last);
      continue;
    }
    line += fmt::format("{}{:.2f},{:.2f}", in_line == 0 ? "" : " ", x.at(point.first), y.at(point.second));
    if (has_dots) dots += dot_svg(x, y, point);
    last = &point;
    ++in_line;
  }
  end_line(has_dots ? nullptr : last);
  return svg + dots + "</g>";
}

Json axis_json(const Axis& axis) {
  return {{"low", axis.low},
          {"high", axis.high},
          {"from", axis.from},
          {"to", axis.to},
          {"log", axis.is_logarithmic}};
}

Json points_json(const std::vector<ChartPoint>& points) {
  Json json = Json::array();
  for (const auto& [x, y] : points) json.push_back({x, std::isfinite(y) ? Json(y) : Json(nullptr)});
  return json;
}

std::string caption_html(const std::string& title, const std::string& note) {
  return escaped(title) + (note.empty() ? "" : " <span>" + escaped(note) + "</span>");
}

std::string figure_html(const std::string& id, const std::string& caption, const std::string& description,
                        const std::string& svg, const Json& data) {
  return fmt::format(
      "<figure class=\"chart\" id=\"chart-{}\"><figcaption>{}</figcaption>\n"
      "<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\">{}</svg>\n"
      "<script type=\"application/json\">{}</script></figure>\n",
      id, caption, kWidth, kHeight, escaped(description), svg, script_json(data));
}

// For who hears the page.
std::string description_of(const LineChart& chart) {
  std::string text = chart.title + " over steps.";
  for (const auto& [name, color, points, has_dots] : chart.series)
    if (!points.empty())
      text += fmt::format(" {}: {} at step {:g}, {} at step {:g}.", name, short_number(points.front().second),
                          points.front().first, short_number(points.back().second), points.back().first);
  return text;
}

}  // namespace

std::string short_number(double value) {
  if (!std::isfinite(value)) return "not finite";
  const double size = std::abs(value);
  if (size >= 1e9) return fmt::format("{:.3g}G", value / 1e9);
  if (size >= 1e6) return fmt::format("{:.3g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:.3g}k", value / 1e3);
  if (size >= 1e-3 || size < 1e-300) return fmt::format("{:.4g}", size < 1e-300 ? 0.0 : value);
  const auto text = fmt::format("{:.2e}", value);  // 2.50e-04
  auto digits = text.substr(0, text.find('e'));
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  return digits + "e" + std::to_string(std::stoi(text.substr(text.find('e') + 1)));
}

std::vector<ChartPoint> thinned(const std::vector<ChartPoint>& points) {
  if (points.size() <= kMostPoints) return points;
  const auto stretches = kMostPoints / 2 - 1;
  std::vector<ChartPoint> kept = {points.front()};
  const auto by_value = [](const ChartPoint& a, const ChartPoint& b) { return a.second < b.second; };
  for (std::size_t stretch = 0; stretch < stretches; ++stretch) {
    std::vector<ChartPoint> finite;
    const auto first = 1 + stretch * (points.size() - 2) / stretches;
    const auto end = 1 + (stretch + 1) * (points.size() - 2) / stretches;
    std::copy_if(points.begin() + static_cast<std::ptrdiff_t>(first),
                 points.begin() + static_cast<std::ptrdiff_t>(end), std::back_inserter(finite),
                 [](const ChartPoint& point) { return std::isfinite(point.second); });
    if (finite.empty()) {
      kept.push_back(points[first]);
      continue;
    }
    auto [low, high] = std::minmax_element(finite.begin(), finite.end(), by_value);
    if (high < low) std::swap(low, high);
    kept.push_back(*low);
    if (low != high) kept.push_back(*high);
  }
  kept.push_back(points.back());
  return kept;
}

std::string line_chart_html(const LineChart& chart) {
  Range steps, values;
  std::vector<ChartSeries> drawn;
  for (auto series : chart.series) {
    for (const auto& [step, value] : series.points) {
      steps.add(step);
      if (std::isfinite(value)) values.add(value);
    }
    series.points = thinned(series.points);
    drawn.push_back(std::move(series));
  }
  if (values.is_empty()) values.add(0);
  Axis x{steps.low, steps.high, kLeft, kWidth - kRight}, y{values.low, values.high, kHeight - kBottom, kTop};
  x.is_whole = true;
  if (x.high <= x.low) x.low -= 1, x.high += 1;
  y.is_logarithmic = chart.may_be_logarithmic && y.low > 0 && y.high / y.low > kLogarithmicFrom;
  widen(y, chart.begins_at_zero);
  auto svg = frame_svg(x, y);
  Json data = {{"x", axis_json(x)}, {"y", axis_json(y)}, {"series", Json::array()}};
  for (const auto& series : drawn) {
    svg += series_svg(series, x, y);
    data["series"].push_back({{"name", series.name},
                              {"color", series.color % kChartColors},
                              {"points", points_json(series.points)}});
  }
  const auto note =
      y.is_logarithmic ? chart.note + (chart.note.empty() ? "" : ", ") + "logarithmic" : chart.note;
  return figure_html(chart.id, caption_html(chart.title, note), description_of(chart), svg, data);
}

std::string histogram_html(const Histogram& histogram) {
  std::size_t bins = 1;
  double highest = 1;
  for (const auto& bars : histogram.bars) {
    bins = std::max(bins, bars.counts.size());
    for (const auto count : bars.counts) highest = std::max(highest, count);
  }
  const Axis x{0, histogram.bin_width * static_cast<double>(bins), kLeft, kWidth - kRight};
  const Axis y{0, highest * 1.05, kHeight - kBottom, kTop};
  auto svg = frame_svg(x, y);
  Json data = {{"bin_width", histogram.bin_width}, {"bars", Json::array()}};
  std::size_t color = 0;
  auto caption = caption_html(histogram.title, histogram.note);
  for (const auto& bars : histogram.bars) {
    caption += fmt::format("<span><i class=\"swatch c{}\"></i>{}</span>", color, escaped(bars.name));
    svg += fmt::format("<g class=\"bars c{}\">", color++);
    for (std::size_t bin = 0; bin < bars.counts.size(); ++bin) {
      if (bars.counts[bin] == 0) continue;
      const double low = histogram.bin_width * static_cast<double>(bin), top = y.at(bars.counts[bin]);
      const double left = x.at(low), right = x.at(low + histogram.bin_width);
      svg += fmt::format(
          "<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\"><title>{:g} to {:g} {}: {:g} "
          "({})"
          "</title></rect>",
          left + 0.5, top, std::max(right - left - 1, 0.5), y.from - top, low, low + histogram.bin_width - 1,
          escaped(histogram.of), bars.counts[bin], escaped(bars.name));
    }
    svg += "</g>";
    data["bars"].push_back({{"name", bars.name}, {"counts", bars.counts}});
  }
  return figure_html(histogram.id, caption, histogram.title + ".", svg, data);
}

}  // namespace anneal
