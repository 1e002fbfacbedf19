// Learning rates by step, those of transformers with a floor. spec: k optimizer steps are done before the
// update.
#pragma once
#include <cstdint>
#include <string>

namespace anneal {

class LrSchedule {
 public:
  LrSchedule(std::string type, double learning_rate, double min_learning_rate, double warmup_ratio,
             std::int64_t total_steps);
  // The rate of the update after k updates; the first update of a warm-up has rate 0, as in transformers.
  double at(std::int64_t k) const;
  std::int64_t warmup_steps() const { return warmup_steps_; }

 private:
  double after_warmup(double progress, std::int64_t k) const;
  std::string type_;
  double peak_, floor_;
  std::int64_t warmup_steps_, total_steps_;
};

}  // namespace anneal
