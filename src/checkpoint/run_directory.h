// The folder of one run: its checkpoints, each complete or invisible, and the pointers `best` and `latest`.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace anneal {

// The name of a run without --run_name: a local folder's own name, else the model id with '/' as '-'.
std::string default_run_name(const std::string& model_id);

class RunDirectory {
 public:
  // Takes <results_dir>/<run_name>. Where a run lies there already: UserError(kUsage), or with `new_run` the
  // first free <run_name>-2, -3, ... Holds a lock for as long as it lives.
  RunDirectory(const std::filesystem::path& results_dir, const std::string& run_name, bool new_run);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

  // Calls write(folder) on a folder that becomes checkpoint-<step> when all of it is durable, points `latest`
  // at it, and `best` too. Then deletes the oldest checkpoints beyond `keep`; never the one just written.
  void save_checkpoint(std::int64_t step, std::int64_t keep,
                       const std::function<void(const std::filesystem::path&)>& write);

 private:
  struct Refusal {
    const char *problem, *remedy;
  };
  std::optional<Refusal> take();  // the lock of path_, where no run lies there
  void rotate(std::int64_t newest, std::int64_t keep);
  std::filesystem::path path_;
  int lock_ = -1;
};

}  // namespace anneal
