// A folder that appears complete or not at all: built beside its place, then put there in one step.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace anneal {

// Throws UserError(kResources) where the disk of `folder` has less than `bytes` left; `flag` names another
// place.
void require_free_space(const std::filesystem::path& folder, std::int64_t bytes, const std::string& flag);

// Deletes what processes that were killed have left beside `target`.
void sweep_leftovers(const std::filesystem::path& target);

class StagedFolder {
 public:
  // Makes <target>.tmp-<pid>.
  explicit StagedFolder(const std::filesystem::path& target);
  ~StagedFolder();  // without commit() nothing is left behind
  StagedFolder(const StagedFolder&) = delete;
  StagedFolder& operator=(const StagedFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void commit();  // what was at the target is gone afterwards

 private:
  std::filesystem::path target_, path_;
  int lock_ = -1;
};

}  // namespace anneal
