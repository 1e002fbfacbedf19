#include "device/block_heap.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace anneal {
namespace {

constexpr std::int64_t kPage = 4096;

// Of this process, as the kernel counts it.
std::int64_t anonymous_bytes() {
  std::ifstream file("/proc/self/status");
  std::string key;
  while (file >> key)
    if (key == "RssAnon:") break;
  std::int64_t kilobytes = 0;
  file >> kilobytes;
  return kilobytes * 1024;
}

struct Block {
  unsigned char* memory;
  std::size_t bytes;
  unsigned char mark;
};

// Blocks of many sizes that come and go; each is full of its mark, and shows it when it goes.
class Users {
 public:
  explicit Users(BlockHeap& heap) : heap_(heap) {}
  ~Users() {
    while (!blocks_.empty()) give(blocks_.size() - 1);
  }

  void take(std::size_t bytes) {
    auto* memory = static_cast<unsigned char*>(heap_.allocate(bytes));
    ASSERT_NE(memory, nullptr);
    blocks_.push_back({memory, bytes, static_cast<unsigned char>(++marks_)});
    std::memset(memory, blocks_.back().mark, bytes);
  }

  void give(std::size_t index) {
    const auto block = blocks_[index];
    for (std::size_t at = 0; at < block.bytes; at += kPage / 4) ASSERT_EQ(block.memory[at], block.mark) << at;
    ASSERT_EQ(block.memory[block.bytes - 1], block.mark);
    EXPECT_TRUE(heap_.free(block.memory));
    blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(index));
  }

  std::size_t size() const { return blocks_.size(); }

 private:
  BlockHeap& heap_;
  std::vector<Block> blocks_;
  unsigned marks_ = 0;
};

// Oracle: marks, which a block that overlaps another would overwrite; the kernel's count of pages; and the
// heap's promise.
TEST(BlockHeap, TakesNoMoreThanWasInUseAtOneTime) {
  BlockHeap heap;
  const auto before = anonymous_bytes();
  {
    Users users(heap);
    std::mt19937 random(1);
    for (int turn = 0; turn < 3000; ++turn) {
      if (users.size() > 0 && random() % 64 < users.size())
        users.give(random() % users.size());
      else
        users.take(1 + random() % (1 << (16 + random() % 5)));
      const auto counts = heap.counts();
      ASSERT_LE(counts.in_use + counts.kept, counts.most_in_use);
    }
    const auto counts = heap.counts();
    EXPECT_GT(counts.kept, 0);
    constexpr std::int64_t kOwn = 1 << 20;  // lists of blocks
    EXPECT_LE(anonymous_bytes() - before, counts.most_in_use + kOwn);
  }
  EXPECT_EQ(heap.counts().in_use, 0);
  const auto full = anonymous_bytes();
  const auto kept = heap.counts().kept;
  heap.give_back();
  EXPECT_EQ(heap.counts().kept, 0);
  EXPECT_LE(anonymous_bytes(), full - kept + kPage);
}

// Oracle: the counts of the system's calls, of work that is done three times.
TEST(BlockHeap, WorkThatRepeatsMakesNoPages) {
  BlockHeap heap;
  Users users(heap);
  const auto work = [&] {
    for (const std::size_t bytes : {300'000, 70'000, 1'000'000, 300'000}) users.take(bytes);
    users.give(2);
    users.take(900'000);
    while (users.size() > 0) users.give(0);
  };
  work();
  work();
  const auto before = heap.counts();
  work();
  EXPECT_EQ(heap.counts().made, before.made);
  EXPECT_EQ(heap.counts().calls_of_system, before.calls_of_system);
}

// Oracle: sizes by hand. The second block does not fit into the first's place: it is new, and the first's
// pages are given back, but for those that are below the most that was in use.
TEST(BlockHeap, KeptPiecesMakeWayForALargerBlock) {
  BlockHeap heap;
  void* first = heap.allocate(10 * kPage);
  heap.free(first);
  void* second = heap.allocate(16 * kPage);
  EXPECT_EQ(heap.counts().most_in_use, 16 * kPage);
  EXPECT_EQ(heap.counts().kept, 0);
  EXPECT_EQ(heap.counts().made, 26 * kPage);
  heap.free(second);
  // Neighbours are one piece again, and the smallest piece that fits is taken, from its start.
  void* low = heap.allocate(5 * kPage);
  void* high = heap.allocate(5 * kPage);
  EXPECT_EQ(low, second);
  EXPECT_EQ(high, static_cast<char*>(low) + 5 * kPage);
  heap.free(low);
  heap.free(high);
  EXPECT_EQ(heap.allocate(16 * kPage), second);
  EXPECT_EQ(heap.counts().made, 26 * kPage);
}

TEST(BlockHeap, KnowsItsOwnBlocksAndItsBounds) {
  BlockHeap heap;
  alignas(kPage) static char other[kPage];
  EXPECT_FALSE(heap.free(other));
  EXPECT_FALSE(heap.free(other + 1));
  EXPECT_EQ(heap.allocate(std::numeric_limits<std::size_t>::max()), nullptr);
  EXPECT_EQ(heap.allocate(std::size_t{1} << 60), nullptr);
  EXPECT_EQ(heap.counts().in_use, 0);
}

}  // namespace
}  // namespace anneal
