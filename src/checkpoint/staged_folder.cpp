#include "checkpoint/staged_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "base/byte_size.h"
#include "base/file.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot(const std::string& action, const fs::path& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT;
  fail(full ? ExitCode::kResources : ExitCode::kUsage, "cannot " + action + ": " + std::strerror(error),
       path.string(), full ? "free disk space, or name another folder" : "name a folder that can be written");
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// A process holds a lock on its folder for as long as it lives, so a folder that can be locked belongs to
// nobody.
int lock_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor >= 0 && ::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  if (descriptor >= 0) ::close(descriptor);
  return -1;
}

}  // namespace

void require_free_space(const fs::path& folder, std::int64_t bytes, const std::string& flag) {
  std::error_code error;
  const auto space = fs::space(folder, error);
  if (error || space.available >= static_cast<std::uintmax_t>(bytes)) return;
  fail(ExitCode::kResources,
       byte_size_text(bytes) + " are needed, " + byte_size_text(static_cast<std::int64_t>(space.available)) +
           " are free",
       folder.string(), "free disk space, or name a folder on another disk with " + flag);
}

void sweep_leftovers(const fs::path& target) {
  const auto prefix = target.filename().string() + ".tmp-";
  std::vector<fs::path> leftovers;
  std::error_code error;
  for (auto entry = fs::directory_iterator(parent_of(target), error);
       !error && entry != fs::directory_iterator(); entry.increment(error))
    if (entry->path().filename().string().starts_with(prefix)) leftovers.push_back(entry->path());
  for (const auto& leftover : leftovers)
    if (const int lock = lock_folder(leftover); lock >= 0) {
      fs::remove_all(leftover, error);
      ::close(lock);
    }
}

StagedFolder::StagedFolder(const fs::path& target) : target_(target) {
  std::error_code error;
  fs::create_directories(parent_of(target_), error);
  if (error) cannot("make the folder", parent_of(target_), error.value());
  path_ = target_.string() + ".tmp-" + std::to_string(::getpid());
  if (::mkdir(path_.c_str(), 0755) != 0) cannot("make the folder", path_, errno);
  lock_ = lock_folder(path_);
}

StagedFolder::~StagedFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

void StagedFolder::commit() {
  sync_folder(path_);
  if (::rename(path_.c_str(), target_.c_str()) != 0) {
    if (errno != EEXIST && errno != ENOTEMPTY) cannot("rename", target_, errno);
    // The target holds something: both change places in one step, and the destructor deletes what was there.
    if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) != 0) {
      if (errno != EINVAL && errno != ENOSYS) cannot("rename", target_, errno);
      // A file system that cannot: for a moment nothing is there.
      const auto aside = fs::path(path_.string() + "-replaced");
      if (::rename(target_.c_str(), aside.c_str()) != 0) cannot("rename", target_, errno);
      if (::rename(path_.c_str(), target_.c_str()) != 0) cannot("rename", target_, errno);
      path_ = aside;
    }
  }
  sync_folder(parent_of(target_));
}

}  // namespace anneal
