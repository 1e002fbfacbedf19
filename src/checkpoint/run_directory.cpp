#include "checkpoint/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/file.h"
#include "base/folder_entries.h"
#include "base/machine.h"
#include "checkpoint/checkpoint_folder.h"
#include "checkpoint/folder_manifest.h"
#include "checkpoint/run_record.h"
#include "checkpoint/staged_folder.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLock = ".lock";
constexpr const char* kStates = "resume";
constexpr const char* kStatePrefix = "step-";
constexpr const char* kTrashPrefix = ".trash-";
constexpr const char* kOtherFolder = "name another folder with --results_dir";
constexpr const char* kPointers[] = {"latest", "best"};

bool holds_a_run(const fs::path& path) { return fs::exists(path / kRunRecord); }

// What AtomicFile, StagedFolder and delete_folder leave behind when they are killed.
bool is_leftover(const std::string& name) {
  const auto partial = name.rfind(kPartialInfix);
  const bool is_partial =
      partial != name.npos &&
      name.find_first_not_of("0123456789", partial + std::strlen(kPartialInfix)) == name.npos;
  const bool is_saved = name.starts_with(kCheckpointPrefix) || name.starts_with(kStatePrefix);
  return name.starts_with(kTrashPrefix) || is_partial || (is_saved && name.find(".tmp-") != name.npos);
}

// The folder and those above it, as far as they are not there.
std::vector<fs::path> missing_folders(fs::path folder) {
  std::vector<fs::path> missing;
  std::error_code error;
  for (; !folder.empty() && !fs::exists(folder, error); folder = folder.parent_path())
    if (folder.has_filename()) missing.push_back(folder);
  return missing;
}

std::string owner_text() { return "host " + host_name() + ", process " + std::to_string(::getpid()); }

}  // namespace

std::string default_run_name(const std::string& model_id) {
  std::error_code error;
  std::string name;
  if (is_folder(model_id)) name = fs::canonical(model_id, error).filename().string();
  if (name.empty()) name = model_id;
  std::replace(name.begin(), name.end(), '/', '-');
  for (char& c : name)
    if (std::strchr("\\:*?\"<>|", c) != nullptr || static_cast<unsigned char>(c) < 32) c = '_';
  name.erase(0, name.find_first_not_of(".-"));
  return name.empty() ? "run" : name;
}

RunDirectory::RunDirectory(const fs::path& results_dir, const std::string& run_name, bool new_run,
                           ProcessGroup& group, const std::string& launch_id)
    : group_(group) {
  group_.on_root([&] { take_first_free(results_dir, run_name, new_run, launch_id); });
  path_ = group_.broadcast_text(path_.string());
}

void RunDirectory::take_first_free(const fs::path& results_dir, const std::string& run_name, bool new_run,
                                   const std::string& launch_id) {
  path_ = results_dir / run_name;
  made_ = missing_folders(path_);
  make_folder(results_dir, kOtherFolder);
  for (int number = 2;; ++number) {
    const auto owner = take();
    if (owner && !new_run)
      fail(ExitCode::kUsage, "another run is working there (" + *owner + ")", path_.string(),
           "wait for it, or give --run_name another name");
    const bool is_anothers = new_run && has_run() && !is_of_launch(path_, launch_id);
    if (!owner && !is_anothers) return;
    if (!owner) ::close(std::exchange(lock_, -1));
    path_ = results_dir / (run_name + "-" + std::to_string(number));
    made_ = missing_folders(path_);
  }
}

bool RunDirectory::has_run() const { return holds_a_run(path_); }

// The system gives a dead process's lock back, so that a lock is never stale.
std::optional<std::string> RunDirectory::take() {
  make_folder(path_, kOtherFolder);
  const auto file = path_ / kLock;
  lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    fail(errno == ENOSPC || errno == EDQUOT ? ExitCode::kResources : ExitCode::kUsage,
         std::string("cannot write: ") + std::strerror(errno), path_.string(), kOtherFolder);
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(std::exchange(lock_, -1));
    const auto owner = read_file(file, ExitCode::kUsage);
    return owner.empty() ? "its lock is held" : owner;
  }
  const auto owner = owner_text();
  [[maybe_unused]] const bool said =  // for a person alone: nothing depends on it
      ::ftruncate(lock_, 0) == 0 && ::pwrite(lock_, owner.data(), owner.size(), 0) >= 0;
  return std::nullopt;
}

RunDirectory::~RunDirectory() {
  if (lock_ < 0) return;
  std::error_code ignored;  // a folder that holds something stays
  if (only_looks_ && !made_.empty()) fs::remove(path_ / kLock, ignored);
  if (only_looks_)
    for (const auto& folder : made_) fs::remove(folder, ignored);
  ::close(lock_);
}

void RunDirectory::tidy() {
  if (!group_.is_root() || only_looks_) return;
  for (const auto& folder : {path_, path_ / kStates})
    for (const auto& entry : entries_of(folder))
      if (is_leftover(entry.filename().string())) fs::remove_all(entry);
  const auto all = checkpoints();
  if (all.empty()) return;
  for (const char* pointer : kPointers)
    if (!pointed_step(pointer)) point(pointer, all.front().step);
}

// The step of this run's checkpoint that the pointer leads to.
std::optional<std::int64_t> RunDirectory::pointed_step(const char* pointer) const {
  std::error_code error;
  if (!fs::is_regular_file(path_ / pointer, error)) return std::nullopt;
  auto name = read_file(path_ / pointer, ExitCode::kUsage);
  name.erase(name.find_last_not_of(" \r\n") + 1);
  const auto step = checkpoint_step(name);
  return step && is_own(path_ / name, *step) ? step : std::nullopt;
}

void RunDirectory::point(const char* pointer, std::int64_t step) const {
  write_file_atomically(path_ / pointer, kCheckpointPrefix + std::to_string(step) + "\n");
}

void RunDirectory::set_best(std::int64_t step) {
  if (group_.is_root() && is_own(path_ / (kCheckpointPrefix + std::to_string(step)), step))
    for (const char* pointer : kPointers) point(pointer, step);
}

bool RunDirectory::is_own(const fs::path& folder, std::int64_t step) const {
  const auto manifest = read_folder_manifest(folder);
  return manifest && manifest->run_id == run_id_ && manifest->step == step;
}

// What lies at the place of a folder of ours and is another run's keeps its content under another name.
void RunDirectory::keep_aside_foreign(const fs::path& target) const {
  const auto manifest = read_folder_manifest(target);
  if (!fs::exists(fs::symlink_status(target)) || (manifest && manifest->run_id == run_id_)) return;
  auto aside = target.string() + ".other";
  for (int number = 2; fs::exists(fs::symlink_status(aside)); ++number)
    aside = target.string() + ".other-" + std::to_string(number);
  fs::rename(target, aside);
}

fs::path RunDirectory::publish(const fs::path& target, std::int64_t step, const Write& write) {
  std::optional<StagedFolder> staged;
  group_.on_root([&] {
    keep_aside_foreign(target);
    staged.emplace(target);
  });
  const fs::path folder = group_.broadcast_text(staged ? staged->path().string() : "");
  group_.on_all([&] { write(folder); });
  write_folder_manifest({run_id_, step}, folder, group_);
  group_.on_root([&] { staged->commit(); });
  return target;
}

fs::path RunDirectory::save_checkpoint(std::int64_t step, const Write& write) {
  const auto folder = publish(path_ / (kCheckpointPrefix + std::to_string(step)), step, write);
  group_.on_root([&] {
    for (const char* pointer : kPointers) point(pointer, step);
  });
  return folder;
}

fs::path RunDirectory::save_state(std::int64_t step, const Write& write) {
  return publish(path_ / kStates / (kStatePrefix + std::to_string(step)), step, write);
}

std::vector<RunDirectory::Saved> RunDirectory::saved(const fs::path& folder, const char* prefix) const {
  std::vector<Saved> all;
  for (const auto& entry : entries_of(folder)) {
    const auto step = step_after(prefix, entry.filename().string());
    if (step && is_own(entry, *step)) all.push_back({entry, *step});
  }
  std::sort(all.begin(), all.end(), [](const Saved& a, const Saved& b) { return a.step > b.step; });
  return all;
}

std::vector<RunDirectory::Saved> RunDirectory::checkpoints() const { return saved(path_, kCheckpointPrefix); }

std::vector<fs::path> RunDirectory::states() const {
  std::vector<std::pair<std::int64_t, fs::path>> steps;
  for (const auto& entry : entries_of(path_ / kStates))
    if (const auto step = step_after(kStatePrefix, entry.filename().string()))
      steps.emplace_back(*step, entry);
  std::sort(steps.rbegin(), steps.rend());
  std::vector<fs::path> folders;
  for (const auto& [step, folder] : steps) folders.push_back(folder);
  return folders;
}

std::int64_t RunDirectory::newest_step() const {
  std::int64_t newest = -1;
  for (const auto& all : {checkpoints(), saved(path_ / kStates, kStatePrefix)})
    if (!all.empty()) newest = std::max(newest, all.front().step);
  return newest;
}

void RunDirectory::rotate(std::int64_t step, std::int64_t keep) {
  group_.on_root([&] { delete_old(step, keep); });
}

void RunDirectory::delete_old(std::int64_t step, std::int64_t keep) {
  const auto best = pointed_step("best");
  const auto delete_beyond = [&](std::vector<Saved> all, std::int64_t limit) {
    std::erase_if(all, [&](const Saved& entry) { return entry.step > step; });
    for (auto index = static_cast<std::size_t>(limit); index < all.size(); ++index)
      delete_folder(all[index].folder);
  };
  auto all = checkpoints();
  // The best counts, but is not deleted.
  const auto spared = std::erase_if(all, [&](const Saved& entry) { return entry.step == best; });
  delete_beyond(all, std::max<std::int64_t>(keep, 1) - static_cast<std::int64_t>(spared));
  delete_beyond(saved(path_ / kStates, kStatePrefix), kStatesKept);
}

// Renamed first: a folder that is half deleted must not look like a checkpoint.
void RunDirectory::delete_folder(const fs::path& folder) {
  const auto trash = folder.parent_path() / (kTrashPrefix + folder.filename().string());
  fs::remove_all(trash);
  fs::rename(folder, trash);
  std::error_code error;
  fs::remove_all(trash, error);
  // A disk that failed for a moment: after the last save of a run nobody else would come to it.
  if (error) fs::remove_all(trash);
}

}  // namespace anneal
