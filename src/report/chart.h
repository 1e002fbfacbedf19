// Charts as inline SVG, each with the figures that it shows as JSON beside it, for the page's script.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace anneal {

constexpr int kChartColors = 8;            // page.css has so many; series above that are dashed
constexpr std::size_t kMostPoints = 1200;  // of a series; longer ones are thinned

using ChartPoint = std::pair<double, double>;  // a y that is not finite is a gap

struct ChartSeries {
  std::string name;
  std::size_t color = 0;  // by number; the same run has the same in every chart
  std::vector<ChartPoint> points;
  bool has_dots = false;
};

struct LineChart {
  std::string id, title;
  std::string note;  // beside the title
  std::vector<ChartSeries> series;
  bool may_be_logarithmic = false;  // where the values span more than two powers of ten
  bool begins_at_zero = false;
};

// <figure id="chart-ID">. Points go in the order of their x.
std::string line_chart_html(const LineChart& chart);

// Counts over equal bins, drawn over each other.
struct Histogram {
  std::string id, title, note;
  double bin_width = 1;
  struct Bars {
    std::string name;
    std::vector<double> counts;
  };
  std::vector<Bars> bars;
  std::string of;  // what a bin counts: "tokens"
};

std::string histogram_html(const Histogram& histogram);

// At most kMostPoints: of each of equal stretches the lowest and the highest, so that no peak is lost; the
// first and the last point too.
std::vector<ChartPoint> thinned(const std::vector<ChartPoint>& points);

// "0", "250", "12k", "1.5M", "2e-4"
std::string short_number(double value);

}  // namespace anneal
