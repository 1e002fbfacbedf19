// The state that a run resumes from, as a folder: trained weights, the optimizer's moments, the counters of
// the loop, and trainer_state.json as transformers writes it. No pickles.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/weight_share.h"

namespace anneal {

constexpr const char* kLoopState = "loop_state.json";

struct RunState {
  std::int64_t step = 0;
  // Float32, the same names in the same order: what this rank holds.
  std::vector<NamedValue> values, first_moments, second_moments;
  WeightShare weights;     // whole tensors
  Json loop;               // the counters of the training loop, its own business
  Json trainer_state;      // transformers' TrainerState
  std::string run_record;  // the text of run_config.json

  // Of a state that every rank holds all of: leaves what `rank` of `ranks` writes.
  void divide(int rank, int ranks);
  std::int64_t bytes() const;  // of the tensors
  void copy_tensors();         // from now on they are this state's own
};

// The optimizer's moments, optimizer-<rank + 1>-of-<ranks>.safetensors, and the loop's counters,
// loop_state.json, by the first rank. Parts of tensors are named <name>@<first element>. Throws
// UserError(kNumerical) where a value is not finite.
void write_progress(const RunState& state, const std::filesystem::path& folder);

// What every saved folder says of its run: run_config.json, trainer_state.json.
void write_origin(const RunState& state, const std::filesystem::path& folder);

// Weights of a full fine-tune in float32, as the optimizer has them.
void write_master_weights(const RunState& state, const std::filesystem::path& folder);
// From the files of however many ranks. Throws UserError(kModel) where a tensor is missing, surplus, of
// another shape or not finite.
void read_master_weights(const std::vector<NamedValue>& into, const std::filesystem::path& folder);

// Whether a folder has all that a run resumes from.
bool holds_run_state(const std::filesystem::path& folder);

// Step, counters and history; the tensors stay empty. Throws UserError(kModel).
RunState read_run_state(const std::filesystem::path& folder);
// Fills the moments. Throws as read_master_weights().
void read_moments(const std::vector<NamedValue>& first, const std::vector<NamedValue>& second,
                  const std::filesystem::path& folder);

}  // namespace anneal
