// Which evaluation is the best so far, and when evaluations have not improved for too long. The rules are
// those of transformers' trainer with its EarlyStoppingCallback; a loss that is not finite is never a gain.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace anneal {

struct BestState {
  std::optional<double> best_loss;
  std::int64_t best_step = 0;
  std::int64_t evaluations_without_gain = 0;
  std::optional<double> counted_loss;  // of the last gain above the threshold
  int bad_in_a_row = 0;                // evaluations whose loss was not finite
};

class BestTracker {
 public:
  // `reference`: what a gain is measured against, "best" or "anchor", the last gain that counted. Patience 0
  // never stops.
  BestTracker(std::int64_t patience, double threshold, const std::string& reference, BestState state);

  // Takes an evaluation; whether it is the best so far. A gain below the threshold is, and yet does not
  // count.
  bool add(std::int64_t step, double loss);
  bool stops() const;
  const BestState& state() const { return state_; }

 private:
  std::int64_t patience_;
  double threshold_;
  bool from_anchor_;
  BestState state_;
};

}  // namespace anneal
