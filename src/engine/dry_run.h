// What --dry_run says in place of training.
#pragma once
#include "engine/resume.h"
#include "engine/train_request.h"
#include "train/run_log.h"
#include "train/trainable_model.h"

namespace anneal {

struct DryRun {
  const TrainableModel& model;
  const StepPlan& plan;
  int ranks;
  std::int64_t longest;    // tokens of a sample
  std::int64_t pool_size;  // samples of a step, of all ranks together
  std::int64_t total_steps;
};

void say_dry_run(const DryRun& run, const RunStart& start, RunLog& log);

}  // namespace anneal
