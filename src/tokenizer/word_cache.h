// The ids of words met before: a fixed number of slots, a new word takes the place of an old one. For one
// thread.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace anneal {

class WordCache {
 public:
  static constexpr std::size_t kMaxBytes = 22, kMaxIds = 10;

  // Words looked up and found by all threads that have ended; for benchmarks.
  inline static std::atomic<std::uint64_t> words_of_all = 0, hits_of_all = 0;

  WordCache() = default;
  WordCache(const WordCache&) = delete;
  WordCache& operator=(const WordCache&) = delete;
  ~WordCache() {
    words_of_all += words_;
    hits_of_all += hits_;
  }

  // Nothing (a null span) where the word is not held.
  std::span<const std::int32_t> find(std::string_view word) {
    const Slot& slot = slots_[index(word)];
    ++words_;
    if (slot.bytes != word.size() || std::memcmp(slot.word, word.data(), word.size()) != 0) return {};
    ++hits_;
    return {slot.ids, slot.count};
  }

  // Only words of 1 to kMaxBytes bytes and 1 to kMaxIds ids.
  void put(std::string_view word, std::span<const std::int32_t> ids) {
    Slot& slot = slots_[index(word)];
    slot.bytes = static_cast<std::uint8_t>(word.size());
    slot.count = static_cast<std::uint8_t>(ids.size());
    std::memcpy(slot.word, word.data(), word.size());
    std::memcpy(slot.ids, ids.data(), ids.size_bytes());
  }

 private:
  static constexpr std::size_t kSlots = 1 << 15;
  struct alignas(64) Slot {
    std::uint8_t bytes = 0, count = 0;
    char word[kMaxBytes];
    std::int32_t ids[kMaxIds];
  };

  static std::size_t index(std::string_view word) {
    std::uint64_t hash = word.size();
    std::size_t at = 0;
    for (; at + 8 <= word.size(); at += 8) hash = mix(hash, load(word.data() + at, 8));
    if (at < word.size()) hash = mix(hash, load(word.data() + at, word.size() - at));
    return hash >> (64 - 15);
  }
  static std::uint64_t load(const char* from, std::size_t bytes) {
    std::uint64_t value = 0;
    std::memcpy(&value, from, bytes);
    return value;
  }
  static std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
    hash = (hash ^ value) * 0x9E3779B97F4A7C15ULL;
    return hash ^ hash >> 32;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(kSlots);
  std::uint64_t words_ = 0, hits_ = 0;  // looked up, and found
};

}  // namespace anneal
