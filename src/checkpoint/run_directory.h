// The folder of one run: its checkpoints and the states that it resumes from, each complete or invisible, and
// the pointers `best` and `latest`.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dist/process_group.h"

namespace anneal {

// The name of a run without --run_name: a local folder's own name, else the model id with '/' as '-'.
std::string default_run_name(const std::string& model_id);

constexpr std::int64_t kStatesKept = 2;

class RunDirectory {
 public:
  using Write = std::function<void(const std::filesystem::path&)>;

  // Takes <results_dir>/<run_name>, or with `new_run` the first of it, <run_name>-2, -3, ... where no run
  // lies, or the one that an earlier attempt of this launch has begun. Throws UserError(kUsage) where another
  // process works there. Holds a lock for as long as it lives. The ranks of `group` work on it together: all
  // make the same calls, and the root alone makes and deletes folders and pointers.
  RunDirectory(const std::filesystem::path& results_dir, const std::string& run_name, bool new_run,
               ProcessGroup& group, const std::string& launch_id = "");
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  bool has_run() const;

  // From now on nothing is changed here, and folders that this object has made go with it.
  void only_look() { only_looks_ = true; }

  // Whose saved folders these are: others are never deleted, and never taken for this run's.
  void set_run_id(std::string id) { run_id_ = std::move(id); }

  // Deletes what killed processes have left, and mends pointers that lead to nothing.
  void tidy();

  // Calls write(folder), on every rank, on a folder that becomes checkpoint-<step> (resume/step-<step>) when
  // all of it is durable. A checkpoint is the best so far: `best` and `latest` lead to it.
  std::filesystem::path save_checkpoint(std::int64_t step, const Write& write);
  std::filesystem::path save_state(std::int64_t step, const Write& write);

  // `best` and `latest` lead to the checkpoint of `step`, where this run has one: for a run that goes back to
  // a state.
  void set_best(std::int64_t step);

  // Deletes this run's oldest checkpoints beyond `keep`, never the newest nor the best, and states but the
  // newest two. What is beyond `step` is left to the run that will come there again.
  void rotate(std::int64_t step, std::int64_t keep);

  // The folders of this run's states, the newest first, complete or not.
  std::vector<std::filesystem::path> states() const;
  // The newest step of any checkpoint or state of this run; -1 where there is none.
  std::int64_t newest_step() const;

 private:
  struct Saved {
    std::filesystem::path folder;
    std::int64_t step;
  };
  void take_first_free(const std::filesystem::path& results_dir, const std::string& run_name, bool new_run,
                       const std::string& launch_id);
  void delete_old(std::int64_t step, std::int64_t keep);
  std::optional<std::string> take();  // the lock of path_; or who has it
  std::optional<std::int64_t> pointed_step(const char* pointer) const;
  void point(const char* pointer, std::int64_t step) const;
  bool is_own(const std::filesystem::path& folder, std::int64_t step) const;  // a complete folder of this run
  void keep_aside_foreign(const std::filesystem::path& target) const;
  std::filesystem::path publish(const std::filesystem::path& target, std::int64_t step, const Write& write);
  std::vector<Saved> saved(const std::filesystem::path& folder, const char* prefix) const;  // newest first
  std::vector<Saved> checkpoints() const;
  void delete_folder(const std::filesystem::path& folder);
  ProcessGroup& group_;
  std::filesystem::path path_;
  std::string run_id_;
  int lock_ = -1;
  bool only_looks_ = false;
  std::vector<std::filesystem::path> made_;  // folders that were not there before, the innermost first
};

}  // namespace anneal
