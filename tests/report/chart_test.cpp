// Oracle: coordinates by hand.
#include "report/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace anneal {
namespace {

using testing::HasSubstr;
using testing::Not;

LineChart chart_of(std::vector<ChartPoint> points, bool has_dots = false) {
  return {"loss", "Loss", "", {{"run", 0, std::move(points), has_dots}}};
}

TEST(Chart, NumbersOfAxesAreShort) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(0.25), "0.25");
  EXPECT_EQ(short_number(2500), "2500");
  EXPECT_EQ(short_number(12000), "12k");
  EXPECT_EQ(short_number(1.5e6), "1.5M");
  EXPECT_EQ(short_number(2e-4), "2e-4");
  EXPECT_EQ(short_number(-1.25e-12), "-1.25e-12");
  EXPECT_EQ(short_number(NAN), "not finite");
}

TEST(Chart, APointStandsWhereItsValueIs) {
  // From 46 to 406 across; 0 at 206 and 2.05 at 8, so 2 is at 206 - 198 * 2 / 2.05.
  auto chart = chart_of({{1, 2}, {3, 1}});
  chart.begins_at_zero = true;
  EXPECT_THAT(line_chart_html(chart), HasSubstr("<polyline points=\"46.00,12.83 406.00,109.41\"/>"));
}

TEST(Chart, AValueThatIsNotFiniteIsAGap) {
  const auto html = line_chart_html(chart_of({{1, 2}, {2, 1}, {3, NAN}, {4, 1}, {5, NAN}, {6, 2}, {7, 2}}));
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = html.find("<polyline", at)) != html.npos; ++at) ++lines;
  EXPECT_EQ(lines, 2u);
  EXPECT_THAT(html, HasSubstr("<circle"));  // step 4 stands alone
  EXPECT_THAT(html, HasSubstr("[3.0,null]"));
}

TEST(Chart, OneValueAndNoFiniteValueAreDrawn) {
  EXPECT_THAT(line_chart_html(chart_of({{5, 2}})), HasSubstr("<circle"));
  const auto html = line_chart_html(chart_of({{5, NAN}}));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  EXPECT_THAT(html, Not(HasSubstr("inf")));
}

TEST(Chart, WideRangesMayBeLogarithmic) {
  auto chart = chart_of({{1, 1}, {2, 1000}});
  EXPECT_THAT(line_chart_html(chart), Not(HasSubstr("logarithmic")));
  chart.may_be_logarithmic = true;
  // Three powers of ten from 206 to 8: 10 stands at 140.
  EXPECT_THAT(line_chart_html(chart), HasSubstr("logarithmic"));
  EXPECT_THAT(line_chart_html(chart), HasSubstr("y1=\"140.00\" y2=\"140.00\""));
  chart.series[0].points.push_back({3, 0});
  EXPECT_THAT(line_chart_html(chart), Not(HasSubstr("logarithmic")));
}

TEST(Chart, ThinningKeepsEndsAndPeaks) {
  std::vector<ChartPoint> points;
  for (int step = 0; step < 100000; ++step) points.emplace_back(step, std::sin(step * 0.001));
  points[31234].second = 50;
  points[77777].second = -50;
  const auto kept = thinned(points);
  EXPECT_LE(kept.size(), kMostPoints);
  EXPECT_GT(kept.size(), kMostPoints / 2);
  EXPECT_EQ(kept.front(), points.front());
  EXPECT_EQ(kept.back(), points.back());
  EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end(), [](auto a, auto b) { return a.first < b.first; }));
  for (const auto peak : {31234, 77777})
    EXPECT_EQ(std::count(kept.begin(), kept.end(), points[peak]), 1) << peak;
  points.resize(kMostPoints);
  EXPECT_EQ(thinned(points), points);
}

TEST(Chart, BarsStandOverTheirBins) {
  const Histogram histogram{"lengths", "Lengths", "", 10, {{"whole", {2, 0, 1}}}, "tokens"};
  const auto html = histogram_html(histogram);
  EXPECT_THAT(html, HasSubstr("0 to 9 tokens: 2 (whole)"));
  EXPECT_THAT(html, HasSubstr("20 to 29 tokens: 1 (whole)"));
  EXPECT_THAT(html, Not(HasSubstr("10 to 19")));
  // 360 wide for three bins; 2 of at most 2.1 is 198 * 2 / 2.1 high.
  EXPECT_THAT(html, HasSubstr("<rect x=\"46.50\" y=\"17.43\" width=\"119.00\" height=\"188.57\">"));
}

}  // namespace
}  // namespace anneal
