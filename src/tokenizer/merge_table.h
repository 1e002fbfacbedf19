// The merges of a BPE model by the two ids that they join.
#pragma once
#include <bit>
#include <cstdint>
#include <vector>

namespace anneal {

struct Merge {
  std::uint32_t rank;  // lower goes first
  std::int32_t id;     // of what the two become
};

class MergeTable {
 public:
  static constexpr std::uint32_t kNoMerge = ~std::uint32_t{0};  // rank of pairs that do not merge

  explicit MergeTable(std::size_t merges = 0) : entries_(std::bit_ceil(merges * 2 + 2)) {
    shift_ = 64 - std::countr_zero(entries_.size());
  }

  // A later merge of the same pair replaces the earlier one.
  void set(std::int32_t left, std::int32_t right, Merge merge) {
    Entry& entry = entries_[slot(key_of(left, right))];
    entry = {key_of(left, right), merge};
  }

  Merge find(std::int32_t left, std::int32_t right) const {
    return entries_[slot(key_of(left, right))].merge;
  }

 private:
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  struct Entry {
    std::uint64_t key = kFree;
    Merge merge{kNoMerge, -1};
  };

  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }

  // Of the key, or of the free entry where it would go. At least half of the entries are free.
  std::size_t slot(std::uint64_t key) const {
    std::size_t at = (key ^ key >> 29) * 0x9E3779B97F4A7C15ULL >> shift_;
    while (entries_[at].key != key && entries_[at].key != kFree) at = (at + 1) & (entries_.size() - 1);
    return at;
  }

  std::vector<Entry> entries_;
  int shift_;
};

}  // namespace anneal
