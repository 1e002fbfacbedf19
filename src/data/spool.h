// Records written once and then read in any order, through a temporary file instead of memory.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/nameless_file.h"

namespace anneal {

class Spool {
 public:
  explicit Spool(const std::filesystem::path& folder) : file_(folder) {}

  void append(std::string_view record) {
    file_.append(record);
    starts_.push_back(starts_.back() + record.size());
  }
  std::int64_t records() const { return static_cast<std::int64_t>(starts_.size()) - 1; }

  void finish() { all_ = file_.map(); }  // between the last append() and the first record()
  std::string_view record(std::int64_t index) const {
    return all_.substr(starts_[index], starts_[index + 1] - starts_[index]);
  }

 private:
  NamelessFile file_;
  std::vector<std::uint64_t> starts_ = {0};  // of each record, and the end of the last
  std::string_view all_;
};

}  // namespace anneal
