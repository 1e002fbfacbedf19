#include "device/block_heap.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace anneal {

BlockHeap::BlockHeap() : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {}

BlockHeap::~BlockHeap() { give_back(); }

void* BlockHeap::allocate(std::size_t bytes) {
  const auto size = whole_pages(std::max<std::size_t>(1, bytes));
  if (size < bytes) return nullptr;  // the sum has no room in size_t
  const std::lock_guard lock(mutex_);
  void* block = take_kept(size);
  if (block == nullptr) block = make(size);
  if (block == nullptr) return nullptr;
  in_use_.emplace(reinterpret_cast<Address>(block), size);
  counts_.in_use += static_cast<std::int64_t>(size);
  counts_.most_in_use = std::max(counts_.most_in_use, counts_.in_use);
  return block;
}

bool BlockHeap::free(void* block) {
  const auto start = reinterpret_cast<Address>(block);
  if (start % page_ != 0) return false;
  const std::lock_guard lock(mutex_);
  const auto found = in_use_.find(start);
  if (found == in_use_.end()) return false;
  counts_.in_use -= static_cast<std::int64_t>(found->second);
  keep(start, found->second);
  in_use_.erase(found);
  return true;
}

void BlockHeap::give_back() {
  const std::lock_guard lock(mutex_);
  release(counts_.kept);
}

BlockHeap::Counts BlockHeap::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void* BlockHeap::take_kept(std::size_t size) {
  const auto best = kept_by_size_.lower_bound({size, 0});
  if (best == kept_by_size_.end()) return nullptr;
  const auto start = best->second;
  const auto whole = forget(start);
  if (whole > size) keep(start + size, whole - size);
  return reinterpret_cast<void*>(start);
}

void* BlockHeap::make(std::size_t size) {
  const auto wanted = static_cast<std::int64_t>(size);
  const auto most = std::max(counts_.most_in_use, counts_.in_use + wanted);
  release(counts_.in_use + counts_.kept + wanted - most);
  const auto map = [&] {
    ++counts_.calls_of_system;
    return ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
  void* block = map();
  if (block == MAP_FAILED && counts_.kept > 0) {
    release(counts_.kept);
    block = map();
  }
  if (block == MAP_FAILED) return nullptr;
  counts_.made += wanted;
  return block;
}

// Joined with what lies beside it.
void BlockHeap::keep(Address start, std::size_t size) {
  auto next = kept_.upper_bound(start);
  if (next != kept_.begin()) {
    const auto [before, bytes] = *std::prev(next);
    if (before + bytes == start) {
      start = before;
      size += forget(before);
    }
  }
  if (next != kept_.end() && start + size == next->first) size += forget((next++)->first);
  kept_.emplace(start, size);
  kept_by_size_.emplace(size, start);
  counts_.kept += static_cast<std::int64_t>(size);
}

std::size_t BlockHeap::forget(Address start) {
  const auto found = kept_.find(start);
  const auto size = found->second;
  kept_by_size_.erase({size, start});
  kept_.erase(found);
  counts_.kept -= static_cast<std::int64_t>(size);
  return size;
}

// At least so many of the bytes kept, the smallest pieces first: they fit least.
void BlockHeap::release(std::int64_t bytes) {
  while (bytes > 0 && counts_.kept > 0) {
    const auto [whole, start] = *kept_by_size_.begin();
    const auto part = std::min(whole, whole_pages(static_cast<std::size_t>(bytes)));
    forget(start);
    if (whole > part) keep(start, whole - part);
    ++counts_.calls_of_system;
    // Fails where a mapping would be cut in two and there are too many already: the pages are given back at
    // least.
    if (::munmap(reinterpret_cast<void*>(start + whole - part), part) != 0)
      ::madvise(reinterpret_cast<void*>(start + whole - part), part, MADV_DONTNEED);
    bytes -= static_cast<std::int64_t>(part);
  }
}

std::size_t BlockHeap::whole_pages(std::size_t bytes) const { return (bytes + page_ - 1) / page_ * page_; }

}  // namespace anneal
