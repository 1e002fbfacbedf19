#include "generate/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace anneal {
namespace {

constexpr double kGreedyBelow = 1e-5;  // vLLM's bounds
constexpr double kLowestTemperature = 0.01;

bool is_likelier(const Candidate& a, const Candidate& b) {
  return a.probability != b.probability ? a.probability > b.probability : a.id < b.id;
}

// In lanes that the compiler makes vectors of; std::max_element would go one by one.
float maximum_of(std::span<const float> values) {
  constexpr std::size_t kLanes = 64;
  std::array<float, kLanes> largest;
  largest.fill(-std::numeric_limits<float>::infinity());
  std::size_t at = 0;
  for (; at + kLanes <= values.size(); at += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      largest[lane] = values[at + lane] > largest[lane] ? values[at + lane] : largest[lane];
  for (; at < values.size(); ++at) largest[0] = std::max(largest[0], values[at]);
  return *std::max_element(largest.begin(), largest.end());
}

// The largest score. Throws UserError(kNumerical) where it is no number.
float checked_maximum(std::span<const float> logits) {
  const float maximum = maximum_of(logits);
  if (!std::isfinite(maximum))
    fail(ExitCode::kNumerical, "the model's scores are not finite", "",
         "check the checkpoint's weights; in bfloat16, try --dtype float32");
  return maximum;
}

// exp((logit - maximum) / temperature) of every token that is not too unlikely to matter in float64.
std::vector<Candidate> weights_of(std::span<const float> logits, double temperature) {
  const double maximum = checked_maximum(logits);
  std::vector<Candidate> weights;
  const double cut = maximum - 745 * temperature;  // exp(-745) is the smallest float64
  for (std::size_t id = 0; id < logits.size(); ++id)
    if (logits[id] >= cut)
      weights.push_back({static_cast<std::int32_t>(id), std::exp((logits[id] - maximum) / temperature)});
  return weights;
}

double sum_of(std::span<const Candidate> weights) {
  double sum = 0;
  for (const auto& weight : weights) sum += weight.probability;
  return sum;
}

// Sorts the likeliest of `weights` to the front until they reach `share` of the sum; returns how many.
std::size_t sort_until(std::vector<Candidate>& weights, double share) {
  const double wanted = share * sum_of(weights);
  double reached = 0;
  std::size_t sorted = 0;
  for (std::size_t next = 16; sorted < weights.size(); next *= 8) {
    const auto end = std::min(next, weights.size());
    std::nth_element(weights.begin() + sorted, weights.begin() + (end - 1), weights.end(), is_likelier);
    std::sort(weights.begin() + sorted, weights.begin() + end, is_likelier);
    for (; sorted < end; ++sorted) {
      reached += weights[sorted].probability;
      if (reached >= wanted) return sorted + 1;
    }
  }
  return weights.size();
}

}  // namespace

std::vector<Candidate> candidates(std::span<const float> logits, const GenerateOptions& options) {
  auto left = weights_of(logits, std::max(options.temperature, kLowestTemperature));
  if (options.top_k > 0 && static_cast<std::size_t>(options.top_k) < left.size()) {
    std::nth_element(left.begin(), left.begin() + (options.top_k - 1), left.end(), is_likelier);
    left.resize(options.top_k);
  }
  if (options.top_p < 1)
    left.resize(sort_until(left, options.top_p));
  else
    std::sort(left.begin(), left.end(), is_likelier);
  const double sum = sum_of(left);
  for (auto& candidate : left) candidate.probability /= sum;
  return left;
}

std::int32_t sample(std::span<const float> logits, const GenerateOptions& options, double uniform) {
  if (options.temperature < kGreedyBelow)
    return static_cast<std::int32_t>(std::find(logits.begin(), logits.end(), checked_maximum(logits)) -
                                     logits.begin());
  const auto left = candidates(logits, options);
  double reached = 0;
  for (const auto& candidate : left) {
    reached += candidate.probability;
    if (uniform < reached) return candidate.id;
  }
  return left.back().id;
}

}  // namespace anneal
