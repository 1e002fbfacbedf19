// Records written once and then read in any order, through a nameless temporary file instead of memory.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace anneal {

class Spool {
 public:
  explicit Spool(std::filesystem::path folder);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  void append(std::string_view record);
  std::int64_t records() const { return static_cast<std::int64_t>(starts_.size()) - 1; }

  void finish();  // between the last append() and the first record()
  std::string_view record(std::int64_t index) const;

 private:
  void flush();
  [[noreturn]] void fail_io(const char* action) const;

  std::filesystem::path folder_;
  int descriptor_ = -1;
  std::string buffer_;
  std::vector<std::uint64_t> starts_ = {0};  // of each record, and the end of the last
  const char* mapped_ = nullptr;
};

}  // namespace anneal
