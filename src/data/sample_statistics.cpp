#include "data/sample_statistics.h"

#include <algorithm>
#include <vector>

namespace anneal {
namespace {

constexpr std::int64_t kMostBins = 32;

// The smallest of 1, 2, 5, 10, 20, 50, ... that puts lengths up to `longest` into few enough bins.
std::int64_t bin_width(std::int64_t longest) {
  for (std::int64_t ten = 1;; ten *= 10)
    for (const std::int64_t digit : {1, 2, 5})
      if (longest / (digit * ten) < kMostBins) return digit * ten;
}

// `sorted` is not empty.
std::int64_t percentile(const std::vector<std::int64_t>& sorted, std::size_t percent) {
  return sorted[(sorted.size() * percent + 99) / 100 - 1];
}

}  // namespace

Json sample_statistics(const ExampleSet& examples) {
  const auto& counts = examples.counts();
  Json statistics = {{"rows", counts.rows},           {"samples", examples.size()},
                     {"tokens", examples.tokens()},   {"trained_tokens", counts.trained_tokens},
                     {"truncated", counts.truncated}, {"skipped", counts.skipped},
                     {"dropped", counts.dropped},     {"longest", counts.longest}};
  if (examples.size() == 0) return statistics;
  const auto width = bin_width(counts.longest);
  std::vector<std::int64_t> lengths, samples(counts.longest / width + 1), trained(samples.size());
  for (std::int64_t index = 0; index < examples.size(); ++index) {
    const auto example = examples[index];
    lengths.push_back(static_cast<std::int64_t>(example.ids.size()));
    ++samples[lengths.back() / width];
    ++trained[example.trained_tokens() / width];
  }
  std::sort(lengths.begin(), lengths.end());
  statistics["p50"] = percentile(lengths, 50);
  statistics["p90"] = percentile(lengths, 90);
  statistics["lengths"] = {{"bin_tokens", width}, {"samples", samples}, {"trained", trained}};
  return statistics;
}

}  // namespace anneal
