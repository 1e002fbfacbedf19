#include "train/best_tracker.h"

#include <cmath>

namespace anneal {

BestTracker::BestTracker(std::int64_t patience, double threshold, const std::string& reference,
                         BestState state)
    : patience_(patience), threshold_(threshold), from_anchor_(reference == "anchor"), state_(state) {}

bool BestTracker::add(std::int64_t step, double loss) {
  const bool is_finite = std::isfinite(loss);
  state_.bad_in_a_row = is_finite ? 0 : state_.bad_in_a_row + 1;
  const auto& reference = from_anchor_ ? state_.counted_loss : state_.best_loss;
  // Before the best moves: the gain is over the old one.
  const bool counts = is_finite && (!reference || *reference - loss > threshold_);
  const bool is_best = is_finite && (!state_.best_loss || loss < *state_.best_loss);
  state_.evaluations_without_gain = counts ? 0 : state_.evaluations_without_gain + 1;
  if (counts) state_.counted_loss = loss;
  if (is_best) {
    state_.best_loss = loss;
    state_.best_step = step;
  }
  return is_best;
}

bool BestTracker::stops() const { return patience_ > 0 && state_.evaluations_without_gain >= patience_; }

}  // namespace anneal
