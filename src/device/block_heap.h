// Large blocks of memory whose pages are kept for the next ones. What is in use and what is kept are never
// more together than the most that was in use at one time: pages are made only where no kept ones fit, and
// then as many of the kept ones as are too much are given back. So the process takes what its tensors take,
// and a step that repeats finds nearly all its pages there. No torch; any thread may call any function.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

namespace anneal {

class BlockHeap {
 public:
  BlockHeap();
  ~BlockHeap();  // gives back what is kept; blocks in use stay where they are
  BlockHeap(const BlockHeap&) = delete;
  BlockHeap& operator=(const BlockHeap&) = delete;

  // Starts on a page. The smallest kept piece that is large enough, the lowest of several; null where the
  // system has no more memory.
  void* allocate(std::size_t bytes);

  // False for a block that is not of this heap.
  bool free(void* block);

  // All that is kept, to the system.
  void give_back();

  struct Counts {
    std::int64_t in_use = 0, kept = 0;  // bytes
    std::int64_t most_in_use = 0;       // at one time
    std::int64_t made = 0;              // bytes of new pages, since the start
    std::int64_t calls_of_system = 0;   // mmap and munmap
  };
  Counts counts() const;

 private:
  using Address = std::uintptr_t;

  void* take_kept(std::size_t size);
  void* make(std::size_t size);
  void keep(Address start, std::size_t size);
  std::size_t forget(Address start);
  void release(std::int64_t bytes);
  std::size_t whole_pages(std::size_t bytes) const;

  const std::size_t page_;
  mutable std::mutex mutex_;
  std::unordered_map<Address, std::size_t> in_use_;
  std::map<Address, std::size_t> kept_;                     // no two of them touch
  std::set<std::pair<std::size_t, Address>> kept_by_size_;  // the same
  Counts counts_;
};

}  // namespace anneal
