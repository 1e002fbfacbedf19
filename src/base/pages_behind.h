// What has been read of a mapped file goes back to the system, some MB at a time, so that reading a file from
// its start to its end takes the same memory whatever its size.
#pragma once
#include <cstddef>
#include <string_view>

namespace anneal {

class PagesBehind {
 public:
  // `mapped` begins where the mapping does.
  explicit PagesBehind(std::string_view mapped = {}) : mapped_(mapped) {}

  // Nothing before `offset` is needed soon; who looks there all the same makes the system read it again.
  void pass(std::size_t offset) {
    if (offset >= dropped_ + kStepBytes) drop(offset);
  }

 private:
  static constexpr std::size_t kStepBytes = 4 << 20;

  void drop(std::size_t offset);

  std::string_view mapped_;
  std::size_t dropped_ = 0;
};

}  // namespace anneal
