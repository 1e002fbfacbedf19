// The counters of the training loop: what a run needs besides tensors to go on as if nothing had happened.
#pragma once
#include <cstdint>
#include <string>

#include "base/json.h"
#include "data/sample_order.h"
#include "train/best_tracker.h"
#include "train/train_options.h"

namespace anneal {

struct LoopState {
  struct Window {  // since the last log line
    double sum_of_losses = 0;
    std::int64_t steps = 0, tokens = 0;
    double seconds = 0, flops = 0;
  };

  std::int64_t step = 0;  // optimizer steps done, skipped ones among them
  SamplePosition position;
  std::int64_t updates = 0;  // of the optimizer
  Window window;
  double total_loss = 0;  // of `updates` steps
  std::int64_t total_tokens = 0, total_samples = 0;
  double total_flops = 0, seconds = 0;
  std::int64_t skipped_in_a_row = 0;
  std::int64_t evaluated_step = -1;
  BestState best;
  Json results;  // of the whole run, once it has ended
};

Json to_json(const LoopState& state);
// Throws UserError(kModel) naming `where`.
LoopState loop_state_of(const Json& json, const std::string& where);

struct RunLength {
  std::int64_t total_steps = 0, steps_per_epoch = 1, save_steps = 0;
};

// trainer_state.json with the fields of transformers' TrainerState.
Json trainer_state_json(const LoopState& state, const TrainOptions& options, const RunLength& length,
                        double epoch, const Json& log_history);

}  // namespace anneal
