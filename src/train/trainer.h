// The training loop: steps, evaluation, best checkpoint, early stopping, logs.
#pragma once
#include <functional>
#include <optional>

#include "checkpoint/run_directory.h"
#include "data/example_set.h"
#include "data/sample_order.h"
#include "eval/score.h"
#include "train/adamw.h"
#include "train/lr_schedule.h"
#include "train/resources.h"
#include "train/run_log.h"
#include "train/step.h"
#include "train/train_options.h"

namespace anneal {

struct TrainerInputs {
  CausalLm& model;
  const ExampleSet& training;
  const ExampleSet& validation;  // may be empty
  TrainOptions options;
  std::int64_t total_steps;
  StepPlan plan;
  std::int64_t save_total_limit;
  std::function<void(const std::filesystem::path&)> write_checkpoint;
};

class Trainer {
 public:
  Trainer(TrainerInputs inputs, RunDirectory& directory, RunLog& log);
  // Throws UserError(kNumerical) where the loss or the gradients are not finite and the policy says stop.
  void run();

 private:
  struct Window {  // since the last log line
    double sum_of_losses = 0;
    std::int64_t steps = 0, tokens = 0;
    double seconds = 0, flops = 0;
  };

  void train_step();
  bool is_finite_or_skipped(const StepLoss& loss, double grad_norm, const std::vector<std::int64_t>& indices);
  void log_step(double grad_norm, double learning_rate);
  void show_progress(const StepLoss& loss);
  void evaluate();
  void consider_stopping(double eval_loss);
  void save();
  void finish(double seconds);
  bool is_due(std::int64_t interval) const { return step_ % interval == 0 || step_ == inputs_.total_steps; }
  double epoch() const;

  TrainerInputs inputs_;
  RunDirectory& directory_;
  RunLog& log_;
  std::vector<Parameter*> parameters_;
  AdamW optimizer_;
  LrSchedule schedule_;
  SampleOrder order_;
  std::int64_t pool_size_;
  double gemm_rate_ = 0;

  std::int64_t step_ = 0;  // done
  Window window_;
  double total_loss_ = 0, total_seconds_ = 0;
  std::int64_t counted_steps_ = 0;
  int skipped_in_a_row_ = 0, bad_evaluations_in_a_row_ = 0;
  std::optional<double> best_eval_loss_;
  std::int64_t best_step_ = 0, evaluations_without_gain_ = 0;
  bool stop_ = false;
  std::string stop_reason_ = "max_steps";
};

}  // namespace anneal
