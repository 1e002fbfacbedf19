// Memory that this process shares with a program it has started.
#pragma once
#include <cstddef>
#include <string>

namespace anneal {

class SharedMemory {
 public:
  SharedMemory();  // of no bytes yet; throws UserError(kResources)
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  std::string path() const;  // of a file that the other program opens, and gives its size
  // All of it, for as long as this lives. Call once. Throws UserError(kResources).
  std::byte* map();

 private:
  int descriptor_ = -1;
  std::size_t size_ = 0;
  void* mapped_ = nullptr;
};

}  // namespace anneal
