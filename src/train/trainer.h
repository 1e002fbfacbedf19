// The training loop: steps, evaluation, best checkpoint, early stopping, states to resume from, logs.
#pragma once
#include <chrono>
#include <functional>
#include <optional>

#include "checkpoint/saver.h"
#include "data/example_set.h"
#include "eval/score.h"
#include "train/adamw.h"
#include "train/loop_state.h"
#include "train/lr_schedule.h"
#include "train/resources.h"
#include "train/run_log.h"
#include "train/step.h"
#include "train/trainable_model.h"

namespace anneal {

constexpr const char* kAllResults = "all_results.json";  // written last of all

struct TrainerInputs {
  TrainableModel& model;
  ProcessGroup& group;  // of the ranks that train together; each runs this loop, and the root alone writes
  const ExampleSet& training;
  const ExampleSet& validation;  // may be empty
  TrainOptions options;
  std::int64_t total_steps;
  std::int64_t save_steps;  // 0: a state is saved at the end and on a signal alone
  StepPlan plan;
  std::filesystem::path folder;  // of the run
  // The text of run_config.json; called with another plan where memory has run out.
  std::function<std::string(const StepPlan&)> run_record;
  std::function<void()> after_step = [] {};
};

class Trainer {
 public:
  Trainer(TrainerInputs inputs, Saver& saver, RunLog& log);

  // Goes on from a saved state, whose weights the model has already. Throws UserError(kModel) for one of
  // another run.
  void resume(const RunState& state, const std::filesystem::path& folder);
  // The samples are others than the state's: they are taken from the beginning.
  void restart_data() { state_.position = {}; }
  std::int64_t best_step() const { return state_.best.best_step; }  // of the state resumed from; 0: none yet

  bool is_done() const { return !state_.results.is_null(); }  // the run resumed from had come to its end

  // kOk, or what a signal to any rank asks for; then the state is saved. Throws UserError(kNumerical) where
  // loss or gradients are not finite and the policy says stop.
  ExitCode run();

 private:
  bool has_ended() const { return state_.step >= inputs_.total_steps || tracker_.stops(); }
  bool is_due(std::int64_t interval) const {
    return (interval > 0 && state_.step % interval == 0) || state_.step == inputs_.total_steps;
  }
  double epoch() const;
  std::int64_t batch_of_all_ranks() const {
    return inputs_.options.per_device_train_batch_size * inputs_.group.size();
  }
  bool is_asked_to_end();  // by a signal to any rank; every rank gets the same answer

  void train_step();
  bool is_finite_or_skipped(const StepLoss& loss, double grad_norm, const std::vector<std::int64_t>& indices);
  void log_step(double grad_norm, double learning_rate);
  void show_progress(const StepLoss& loss);
  std::string time_left() const;

  bool settle_step();  // evaluation and saving after a step; whether the run goes on
  bool evaluate();     // whether it is the best so far; false too where a signal has cut it short
  std::vector<SampleScore> score_validation();
  void save(bool as_checkpoint, bool as_state);
  void finish(bool is_best);
  Json results() const;
  void write_results() const;
  void say_saved();
  void finish_saving();

  // Calls work(), again with a smaller plan where memory runs out.
  template <class Work>
  auto with_enough_memory(const Work& work);
  void shrink_plan();
  [[noreturn]] void leave_short_of_memory();  // the others are in the middle of an operation with this rank

  TrainerInputs inputs_;
  Saver& saver_;
  RunLog& log_;
  std::vector<Parameter*> parameters_;
  AdamW optimizer_;
  LrSchedule schedule_;
  SampleOrder order_;
  std::int64_t pool_size_;
  BestTracker tracker_;
  LoopState state_;
  ExitCode asked_exit_ = ExitCode::kOk;
  double gemm_rate_ = 0;
  bool is_short_of_memory_ = false;  // it has run out once
  std::chrono::steady_clock::time_point start_;
  double seconds_before_ = 0, step_seconds_ = 0;  // of earlier sessions; of this one's steps
  std::int64_t steps_here_ = 0;
};

}  // namespace anneal
