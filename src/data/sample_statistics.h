// What a run trains on, in figures that are small enough to lie beside its log.
#pragma once
#include "base/json.h"
#include "data/example_set.h"

namespace anneal {

inline constexpr const char* kSampleStatistics = "samples.json";  // in the run's folder

// {"rows", "samples", "tokens", "trained_tokens", "truncated", "skipped", "dropped": {reason: rows},
// "longest", "p50", "p90", "lengths": {"bin_tokens", "samples": [...], "trained": [...]}}. Bin i counts the
// samples of i * bin_tokens to (i + 1) * bin_tokens - 1 tokens, and under "trained" those with so many
// trained tokens. Percentiles are lengths of samples, by nearest rank; an empty set has none, nor lengths.
Json sample_statistics(const ExampleSet& examples);

}  // namespace anneal
