// Records written once and then read in any order, through a temporary file instead of memory.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/background_tasks.h"
#include "base/nameless_file.h"

namespace anneal {

class Spool {
 public:
  explicit Spool(const std::filesystem::path& folder) : file_(folder) {}

  void append(std::string_view record) {
    pending_ += record;
    starts_.push_back(starts_.back() + record.size());
    if (pending_.size() >= kPieceBytes) write_pending();
  }
  std::int64_t records() const { return static_cast<std::int64_t>(starts_.size()) - 1; }

  // Between the last append() and the first read.
  void finish() {
    write_pending();
    writer_.finish();
    file_.finish();
  }
  void append_record_to(std::string& text, std::int64_t index) const {
    const auto before = text.size();
    const auto bytes = starts_[index + 1] - starts_[index];
    text.resize(before + bytes);
    file_.read(starts_[index], bytes, text.data() + before);
  }

 private:
  static constexpr std::size_t kPieceBytes = 1 << 20;

  void write_pending() {
    writer_.run([this, piece = std::exchange(pending_, {})] { file_.append(piece); });
    pending_.reserve(kPieceBytes + kPieceBytes / 8);
  }

  NamelessFile file_;
  std::string pending_;
  std::vector<std::uint64_t> starts_ = {0};  // of each record, and the end of the last
  BackgroundTasks writer_;                   // the last member: it uses the file
};

}  // namespace anneal
