// One builder of a folder or file at a time, across processes.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

namespace anneal {

// Holds an exclusive lock on "<folder>.lock" while it lives. A dead process holds none.
class FolderLock {
 public:
  // Waits for it, and says so.
  FolderLock(const std::filesystem::path& folder, const std::function<void(const std::string&)>& log);
  // Does not wait: is_held() says whether it was free.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  bool is_held() const { return descriptor_ >= 0; }
  void remove_file() const;  // of a lock that is held; who waits for it makes a new one

 private:
  bool open_file();
  bool lock_file() const;  // false with EWOULDBLOCK: another holds it
  void close_file();

  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace anneal
