// Examples of the data as the samples that models take.
#pragma once
#include <vector>

#include "data/example_set.h"
#include "models/token_batch.h"

namespace anneal {

inline SampleView sample_view(const ExampleView& example) {
  return {example.ids, example.prompt_length, example.untrained};
}

inline std::vector<SampleView> sample_views(const ExampleSet& set) {
  std::vector<SampleView> samples;
  for (std::int64_t index = 0; index < set.size(); ++index) samples.push_back(sample_view(set[index]));
  return samples;
}

}  // namespace anneal
