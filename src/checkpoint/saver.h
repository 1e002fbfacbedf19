// Writes checkpoints and states behind the training loop's back: one at a time, each complete or invisible.
#pragma once
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/run_directory.h"
#include "checkpoint/run_state.h"

namespace anneal {

struct SaveRequest {
  std::shared_ptr<const RunState> state;  // must not change until it is written
  bool as_checkpoint = false;             // checkpoint-<step>: the best so far
  bool as_state = false;                  // resume/step-<step>
};

// A folder that is complete.
struct SavedFolder {
  std::int64_t step;
  std::filesystem::path path;
};

// What the two kinds of folder hold. Called on a thread of the saver's.
struct SaveFormats {
  using Write = std::function<void(const RunState&, const std::filesystem::path&)>;
  Write write_checkpoint, write_state;
  // Whether a file of a checkpoint is one of a state of the same step too: such files are written once.
  std::function<bool(const std::string& name)> is_shared;
};

class Saver {
 public:
  // The ranks of `group` save together.
  Saver(RunDirectory& directory, SaveFormats formats, std::int64_t save_total_limit, ProcessGroup& group);
  ~Saver();  // waits

  // Starts to write, after the save before it has ended.
  void start(SaveRequest request);
  // Waits until all is written; what could not be is tried again.
  void finish();
  bool is_saving() const { return in_flight_.valid(); }  // or has saved, and was not asked for a report since
  bool has_ended() const;                                // the save in flight, on this rank
  // Lines for a person about saves that have ended since the last call; `settles`: the one in flight has.
  // Throws what ends the run: values that are not finite, and UserError(kResources) after three failures in a
  // row.
  std::vector<std::string> report(bool settles);
  // The folders that those lines were about, in the order of their saving: on all ranks the same.
  std::vector<SavedFolder> take_saved() { return std::exchange(saved_, {}); }

 private:
  struct Outcome {
    std::vector<std::string> lines;
    std::vector<SavedFolder> saved;
    std::vector<SaveRequest> unsaved;
    std::optional<UserError> failure;
  };
  Outcome write_all(const std::vector<SaveRequest>& requests);
  void write(const SaveRequest& request, Outcome& outcome);
  void share_files(const std::filesystem::path& from, const std::filesystem::path& to) const;
  void launch(std::vector<SaveRequest> requests);
  void settle();  // waits for the save in flight, and takes up what came of it

  RunDirectory& directory_;
  SaveFormats formats_;
  std::int64_t limit_;
  ProcessGroup& group_;
  std::future<Outcome> in_flight_;
  std::vector<SaveRequest> unsaved_;  // in order
  int failures_in_a_row_ = 0;
  std::optional<UserError> fatal_;
  std::vector<std::string> lines_;
  std::vector<SavedFolder> saved_;
};

}  // namespace anneal
