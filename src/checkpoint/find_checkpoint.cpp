#include "checkpoint/find_checkpoint.h"

#include <algorithm>
#include <set>
#include <system_error>
#include <tuple>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint_folder.h"
#include "checkpoint/run_directory.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

struct Candidate {
  fs::path folder;
  std::int64_t step;
  bool operator<(const Candidate& other) const {
    return std::tie(step, folder) < std::tie(other.step, other.folder);
  }
};

// Without the exceptions of links that lead nowhere or in circles: what cannot be seen is not there.
bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error))
    if (is_folder(entry->path())) folders.push_back(entry->path());
  return folders;
}

bool has_prefix(const fs::path& folder, const std::string& prefix) {
  return folder.filename().string().rfind(prefix, 0) == 0;
}

// What trainer_state.json says, or -1: it only puts folders into an order.
std::int64_t global_step(const fs::path& folder) {
  try {
    const auto path = folder / "trainer_state.json";
    const Json state = read_json_file(path, ExitCode::kModel);
    return state.is_object()
               ? optional<std::int64_t>(state, "global_step", -1, path.string(), ExitCode::kModel)
               : -1;
  } catch (const UserError&) {
    return -1;
  }
}

std::vector<fs::path> named_by_pointer(const fs::path& folder, const std::string& pointer) {
  std::error_code error;
  if (!fs::is_regular_file(folder / pointer, error)) return {};
  auto name = read_file(folder / pointer, ExitCode::kModel);
  name.erase(name.find_last_not_of(" \r\n") + 1);
  // A pointer is a file that anyone may have edited: nothing outside of the folder is followed.
  if (!checkpoint_step(name)) return {};
  return {folder / name};
}

std::vector<fs::path> newest_first(std::vector<Candidate> candidates) {
  std::sort(candidates.begin(), candidates.end());
  std::vector<fs::path> folders;
  for (auto candidate = candidates.rbegin(); candidate != candidates.rend(); ++candidate)
    folders.push_back(candidate->folder);
  return folders;
}

std::vector<fs::path> named_by_step(const fs::path& folder) {
  std::vector<Candidate> candidates;
  for (const auto& child : folders_in(folder))
    if (const auto step = checkpoint_step(child.filename().string())) candidates.push_back({child, *step});
  return newest_first(std::move(candidates));
}

std::vector<fs::path> written_by_ray(const fs::path& folder) {
  std::vector<fs::path> parents{folder};
  for (const auto& child : folders_in(folder))
    if (has_prefix(child, "TorchTrainer_")) parents.push_back(child);
  std::vector<Candidate> candidates;
  for (const auto& parent : parents)
    for (const auto& child : folders_in(parent))
      if (has_prefix(child, "checkpoint_") && is_folder(child / "checkpoint"))
        candidates.push_back({child / "checkpoint", global_step(child / "checkpoint")});
  return newest_first(std::move(candidates));
}

// Without a trailing slash, so that a name beside the folder can be made of it.
fs::path plain(fs::path folder) {
  folder = folder.lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  return folder == "." || folder == ".." ? fs::canonical(folder) : folder;
}

fs::path complete_checkpoint(const fs::path& folder) {
  if (!is_folder(folder))
    fail(ExitCode::kModel, "is not a folder", folder.string(), "name a checkpoint folder with --checkpoint");
  if (const auto defect = checkpoint_defect(folder); !defect.empty())
    fail(ExitCode::kModel, "is not a complete checkpoint: " + defect, folder.string(),
         "name another one with --checkpoint");
  return plain(folder);
}

fs::path newest_complete(const fs::path& folder, const std::string& which,
                         const std::function<void(const std::string&)>& notice) {
  std::set<fs::path> seen;
  for (const auto& places : {named_by_pointer(folder, which), named_by_step(folder), written_by_ray(folder)})
    for (const auto& place : places) {
      if (!seen.insert(place).second) continue;
      const auto defect = checkpoint_defect(place);
      if (defect.empty()) return place;
      notice("warning: " + place.string() + " is not complete and is passed over (" + defect + ")");
    }
  const auto dir = folder.string();
  fail(ExitCode::kModel, "there is no complete checkpoint",
       dir + "/" + which + ", " + dir + "/checkpoint-<step>, " + dir + "/checkpoint_*/checkpoint, " + dir +
           "/TorchTrainer_*/checkpoint_*/checkpoint",
       "name the run's folder with --checkpoints_dir, or a checkpoint with --checkpoint");
}

}  // namespace

FoundCheckpoint find_checkpoint(const CheckpointOptions& options,
                                const std::function<void(const std::string&)>& notice) {
  const auto folder = options.checkpoint
                          ? complete_checkpoint(*options.checkpoint)
                          : newest_complete(options.checkpoints_dir
                                                ? plain(*options.checkpoints_dir)
                                                : fs::path("results") / default_run_name(options.base_model),
                                            options.which, notice);
  const bool is_adapter = holds_adapter(folder);
  if (options.full_ft && is_adapter)
    fail(ExitCode::kModel, "holds a LoRA adapter, not all weights", folder.string(),
         "leave out --full_ft, or name a checkpoint of a full fine-tune");
  return {folder, is_adapter};
}

}  // namespace anneal
