#include "data/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "base/activity.h"
#include "base/error.h"
#include "base/file.h"

namespace anneal {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(100);

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder,
                       const std::function<void(const std::string&)>& log)
    : path_(folder.string() + ".lock") {
  for (bool has_said = false;;) {
    if (!is_held() && !open_file())
      fail(errno == ENOSPC ? ExitCode::kResources : ExitCode::kUsage,
           std::string("cannot create the file: ") + std::strerror(errno), path_.string(),
           "name a folder that can be written with --data_dir");
    if (lock_file()) {
      if (!is_removed(descriptor_)) return;
      close_file();
    } else if (errno == EWOULDBLOCK) {
      if (!std::exchange(has_said, true))
        log("note: another process prepares " + folder.string() + "; waiting for it");
      // That one is watched over, this one is not stuck.
      enter_phase("waiting for data that another process makes");
      std::this_thread::sleep_for(kPollInterval);
    } else if (errno != EINTR) {
      const std::string reason = std::strerror(errno);
      close_file();
      fail(ExitCode::kUsage, "cannot lock the file: " + reason, path_.string(),
           "name a folder on another disk with --data_dir");
    }
  }
}

FolderLock::FolderLock(const std::filesystem::path& folder) : path_(folder.string() + ".lock") {
  if (open_file() && (!lock_file() || is_removed(descriptor_))) close_file();
}

FolderLock::~FolderLock() { close_file(); }

void FolderLock::remove_file() const { ::unlink(path_.c_str()); }

bool FolderLock::open_file() {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  return is_held();
}

bool FolderLock::lock_file() const { return ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0; }

void FolderLock::close_file() {
  if (is_held()) ::close(std::exchange(descriptor_, -1));
}

}  // namespace anneal
