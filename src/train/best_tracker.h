#pragma once
#include <cstdint>
#include <cmath>
#include <optional>
#include <string>
namespace anneal {
struct BestState { std::optional<double> best_loss; std::int64_t best_step = 0; std::int64_t evaluations_without_gain = 0;
                   std::optional<double> counted_loss; int bad_in_a_row = 0; };
class BestTracker {
 public:
  BestTracker(std::int64_t patience, double threshold, const std::string& reference, BestState s) : p_(patience), t_(threshold), anchor_(reference == "anchor"), s_(s) {}
  struct Verdict { bool is_best; bool stops; };
  Verdict add(std::int64_t step, double loss) {
    const bool finite = std::isfinite(loss);
    const auto ref = anchor_ ? s_.counted_loss : s_.best_loss;
    if (finite && (!ref || *ref - loss > t_)) { s_.evaluations_without_gain = 0; s_.counted_loss = loss; } else ++s_.evaluations_without_gain;
    s_.bad_in_a_row = finite ? 0 : s_.bad_in_a_row + 1;
    const bool best = finite && (!s_.best_loss || loss < *s_.best_loss);
    if (best) { s_.best_loss = loss; s_.best_step = step; }
    return {best, stops()};
  }
  const BestState& state() const { return s_; }
  bool stops() const { return p_ > 0 && s_.evaluations_without_gain >= p_; }
 private:
  std::int64_t p_; double t_; bool anchor_; BestState s_;
};
}
