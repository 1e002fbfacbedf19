// Sizes a training for devices: what it takes of each, what would fit, and how long it runs.
#pragma once
#include <optional>
#include <string>

#include "plan/fit.h"
#include "plan/hardware.h"
#include "plan/step_plan.h"

namespace anneal {

// The part of a training's options that its size follows from.
struct Training {
  ModelShape shape;
  std::int64_t compute_bytes, base_bytes;
  bool stores_as_held = true;    // frozen weights can be mapped from the files
  std::int64_t sample_tokens;    // of the longest
  std::int64_t samples_of_step;  // on each device
  std::optional<std::int64_t> micro_batch_tokens;
  std::string gradient_checkpointing = "auto", sharding = "auto";
  double steps = 0;
  double save_steps = 0;  // between states; 0: the last alone
};

struct Sizing {
  Hardware hardware;
  int devices;
  bool is_sharded;
  StepPlan plan;
  StepMemory memory;
  std::int64_t peak_bytes;  // with the copy that is saved, where a processor has room for it
  Fit fit;
  // Samples of sample_tokens in a micro-batch, and tokens of one sample, that stay within 90 %.
  std::int64_t most_samples, most_samples_recomputed, longest_sample;
  double step_flops;  // of all devices, recomputing included
  double step_tokens;
  double tokens_per_second;
  double seconds;  // of the whole training
};

// `utilisation`: the share of the peak that is reached.
Sizing size_training(const Training& training, const Hardware& hardware, int devices, double utilisation);

// The fewest of these devices that the training fits on: 1, 2, 4 ... 64.
std::optional<Sizing> smallest_fit(const Training& training, const Hardware& hardware, double utilisation);

}  // namespace anneal
