// Lines written once and then read in any order, through a temporary file instead of memory. In the file they
// are in the order of hashed_order(), some MB at a time: who reads all in that order reads each such run from
// its start to its end, and so in long pieces.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/background_tasks.h"
#include "base/nameless_file.h"

namespace anneal {

class Spool {
 public:
  // `base`: of order_key().
  Spool(const std::filesystem::path& folder, std::uint64_t base) : file_(folder), base_(base) {}

  // `line` has its line end, and no other.
  void append(std::string_view line);
  std::int64_t lines() const { return count_; }

  void finish();  // between the last append() and the first read
  void append_line_to(std::string& text, std::int64_t index);

 private:
  // Lines on their way to the file.
  struct Batch {
    std::string text;
    std::vector<std::size_t> starts;
  };
  struct Run {
    std::uint64_t begin;  // in the file
    std::uint64_t read;   // where in the file `bytes` begin
    std::string bytes;
  };

  void write(const Batch& batch);
  void hand_over_batch();
  Run& run_at(std::uint64_t place);
  void read_on(Run& run, std::uint64_t place);

  NamelessFile file_;
  std::uint64_t base_;
  std::uint64_t file_bytes_ = 0;
  std::vector<std::uint64_t> places_;  // of each line in the file
  std::vector<Run> runs_;
  std::size_t piece_bytes_ = 0;
  std::int64_t count_ = 0;
  Batch batch_;
  BackgroundTasks writer_;  // the last member: it uses the others
};

}  // namespace anneal
