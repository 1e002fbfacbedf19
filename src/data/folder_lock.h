// One builder of a folder at a time, across processes.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

namespace anneal {

// Holds an exclusive lock on "<folder>.lock" while it lives; waits for it, and says so. A dead process holds
// none.
class FolderLock {
 public:
  FolderLock(const std::filesystem::path& folder, const std::function<void(const std::string&)>& log);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace anneal
