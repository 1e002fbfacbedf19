// The likelihood that a model gives to samples. Each sample's figures are its own: they depend on no other
// sample of the batch, so the mean does not depend on how the set is cut.
#pragma once
#include <functional>
#include <vector>

#include "models/causal_lm.h"

namespace anneal {

struct SampleScore {
  double nll = 0;           // summed over the trained tokens
  std::int64_t tokens = 0;  // trained ones
  bool exact = true;        // every trained token is the argmax
};

// In the order of `samples`; micro-batches of at most `budget` tokens. The samples are divided over the ranks
// of `group`, and every rank gets all scores. `progress` gets the number done so far, on all ranks equally
// often.
std::vector<SampleScore> score_samples(const CausalLm& model, const std::vector<SampleView>& samples,
                                       std::int64_t budget, ProcessGroup& group,
                                       const std::function<void(std::int64_t)>& progress);

// Gives every rank the scores of all; `own`: the samples that this rank has scored.
void exchange_scores(std::vector<SampleScore>& scores, const std::vector<std::size_t>& own,
                     ProcessGroup& group);

struct MeanLoss {
  double loss = 0;  // sum of NLL / tokens
  std::int64_t tokens = 0, samples = 0, exact = 0;
};
MeanLoss mean_loss(const std::vector<SampleScore>& scores);

}  // namespace anneal
