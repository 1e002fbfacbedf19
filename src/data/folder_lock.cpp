#include "data/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/activity.h"
#include "base/error.h"

namespace anneal {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(100);

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder,
                       const std::function<void(const std::string&)>& log) {
  const auto path = folder.string() + ".lock";
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0)
    fail(errno == ENOSPC ? ExitCode::kResources : ExitCode::kUsage,
         std::string("cannot create the file: ") + std::strerror(errno), path,
         "name a folder that can be written with --data_dir");
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  log("note: another process prepares " + folder.string() + "; waiting for it");
  while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) {
      enter_phase(
          "waiting for data that another process makes");  // that one is watched over, this one is not stuck
      std::this_thread::sleep_for(kPollInterval);
      continue;
    }
    const std::string reason = std::strerror(errno);
    ::close(descriptor_);
    fail(ExitCode::kUsage, "cannot lock the file: " + reason, path,
         "name a folder on another disk with --data_dir");
  }
}

FolderLock::~FolderLock() { ::close(descriptor_); }

}  // namespace anneal
