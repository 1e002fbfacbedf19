#include "generate/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/random.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

std::vector<float> random_logits(std::size_t size, std::uint64_t seed, double width) {
  std::vector<float> logits(size);
  for (std::size_t id = 0; id < size; ++id)
    logits[id] = static_cast<float>(width * (to_unit_interval(mix(seed, id)) - 0.5));
  return logits;
}

GenerateOptions sampling(double temperature, std::int64_t top_k, double top_p) {
  GenerateOptions options;
  options.temperature = temperature;
  options.top_k = top_k;
  options.top_p = top_p;
  return options;
}

// The definition, step by step over all tokens.
std::map<std::int32_t, double> plain_candidates(const std::vector<float>& logits, double temperature,
                                                std::int64_t top_k, double top_p) {
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
  if (top_k > 0 && static_cast<std::size_t>(top_k) < order.size()) order.resize(top_k);
  std::vector<double> weights;
  for (const auto id : order)
    weights.push_back(std::exp((static_cast<double>(logits[id]) - logits[order[0]]) / temperature));
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::map<std::int32_t, double> kept;
  double reached = 0;
  for (std::size_t at = 0; at < order.size() && (at == 0 || top_p >= 1 || reached < top_p); ++at) {
    kept[order[at]] = weights[at];
    reached += weights[at] / sum;
  }
  double left = 0;
  for (const auto& [id, weight] : kept) left += weight;
  for (auto& [id, weight] : kept) weight /= left;
  return kept;
}

TEST(Sampler, CandidatesAreThoseOfTheDefinition) {
  for (std::uint64_t seed = 0; seed < 40; ++seed)
    for (const std::int64_t top_k : {-1, 1, 5, 60, 5000})
      for (const double top_p : {0.05, 0.6, 0.95, 1.0})
        for (const double temperature : {0.05, 0.7, 2.0}) {
          const auto logits = random_logits(1000, seed, 12);
          const auto expected = plain_candidates(logits, temperature, top_k, top_p);
          const auto actual = candidates(logits, sampling(temperature, top_k, top_p));
          ASSERT_EQ(actual.size(), expected.size())
              << seed << " " << top_k << " " << top_p << " " << temperature;
          for (const auto& candidate : actual)
            ASSERT_NEAR(candidate.probability, expected.at(candidate.id), 1e-12);
        }
}

// Of equal scores the smaller ids stay.
TEST(Sampler, TiesGoToTheSmallerId) {
  const std::vector<float> logits{1, 3, 3, 3, 0};
  const auto two = candidates(logits, sampling(1, 2, 1));
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[0].id, 1);
  EXPECT_EQ(two[1].id, 2);
  EXPECT_EQ(sample(logits, sampling(0, -1, 1), 0.99), 1);
}

// Pearson's statistic of 20,000 draws against the softmax, below the 99.99 % point of its distribution.
TEST(Sampler, DrawsFollowTheSoftmax) {
  const auto logits = random_logits(20, 3, 4);
  for (const double temperature : {0.6, 1.5}) {
    const auto expected = plain_candidates(logits, temperature, -1, 1);
    std::map<std::int32_t, double> drawn;
    constexpr int kDraws = 20000;
    for (int draw = 0; draw < kDraws; ++draw)
      ++drawn[sample(logits, sampling(temperature, -1, 1), to_unit_interval(mix(99, draw)))];
    double statistic = 0;
    for (const auto& [id, probability] : expected)
      statistic += std::pow(drawn[id] - kDraws * probability, 2) / (kDraws * probability);
    EXPECT_LT(statistic, 50.8);  // 19 degrees of freedom
  }
}

TEST(Sampler, ALowTemperatureIsRaisedAndALowerOneGreedy) {
  const std::vector<float> logits{0, 0.01F};
  EXPECT_NEAR(candidates(logits, sampling(0.001, -1, 1))[0].probability, 1 / (1 + std::exp(-1.0)), 1e-7);
  EXPECT_EQ(sample(logits, sampling(0.001, -1, 1), 0.9), 0);
  EXPECT_EQ(sample(logits, sampling(0.000001, -1, 1), 0.9), 1);
}

TEST(Sampler, RefusesScoresThatAreNoNumbers) {
  for (const float bad : {NAN, INFINITY})
    for (const double temperature : {0.0, 1.0})
      expect_user_error(ExitCode::kNumerical, "not finite",
                        [&] { sample(std::vector<float>(100, bad), sampling(temperature, -1, 1), 0.5); });
}

}  // namespace
}  // namespace anneal
