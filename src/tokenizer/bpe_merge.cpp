// Merging: always the pair of lowest rank, the leftmost first, until no pair merges.
#include <algorithm>
#include <array>

#include "tokenizer/bpe_model.h"

namespace anneal {
namespace {

constexpr std::size_t kShortWord = 32;  // symbols up to which scanning beats a heap

bool later(const WordScratch::Candidate& a, const WordScratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

}  // namespace

void BpeModel::encode(std::string_view word, WordScratch& scratch, std::vector<std::int32_t>& ids) const {
  if (marker_.empty()) return encode_cached(word, scratch, ids);
  std::size_t begin = 0;
  for (std::size_t at = 0; (at = word.find(marker_, at)) != word.npos; at += marker_.size()) {
    if (at == begin || word.substr(0, at).ends_with(marker_)) continue;
    encode_cached(word.substr(begin, at - begin), scratch, ids);
    begin = at;
  }
  if (begin < word.size()) encode_cached(word.substr(begin), scratch, ids);
}

void BpeModel::encode_cached(std::string_view word, WordScratch& scratch,
                             std::vector<std::int32_t>& ids) const {
  if (word.size() > WordCache::kMaxBytes) return encode_new(word, scratch, ids);
  const auto known = scratch.cache.find(word);
  if (!known.empty()) {
    ids.insert(ids.end(), known.begin(), known.end());
    return;
  }
  const std::size_t before = ids.size();
  encode_new(word, scratch, ids);
  const std::size_t count = ids.size() - before;
  if (count > 0 && count <= WordCache::kMaxIds) scratch.cache.put(word, {ids.data() + before, count});
}

void BpeModel::encode_new(std::string_view word, WordScratch& scratch, std::vector<std::int32_t>& ids) const {
  if (ignore_merges_)
    if (const auto id = whole_word_id(word)) return ids.push_back(*id);
  scratch.initial.clear();
  initial_symbols(word, scratch.initial);
  if (scratch.initial.size() <= kShortWord)
    merge_short(scratch.initial, ids);
  else
    merge_long(scratch, ids);
}

void BpeModel::merge_short(const std::vector<std::int32_t>& symbols, std::vector<std::int32_t>& ids) const {
  std::array<std::int32_t, kShortWord> left;  // the symbols
  std::array<Merge, kShortWord> pair;         // pair[i]: of left[i] and left[i + 1]
  std::size_t count = symbols.size();
  std::copy(symbols.begin(), symbols.end(), left.begin());
  for (std::size_t i = 0; i + 1 < count; ++i) pair[i] = merges_.find(left[i], left[i + 1]);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i)
      if (pair[i].rank < pair[best].rank) best = i;
    if (pair[best].rank == MergeTable::kNoMerge) break;
    left[best] = pair[best].id;
    std::copy(left.begin() + best + 2, left.begin() + count, left.begin() + best + 1);
    std::copy(pair.begin() + best + 1, pair.begin() + count - 1, pair.begin() + best);
    --count;
    if (best + 1 < count) pair[best] = merges_.find(left[best], left[best + 1]);
    if (best > 0) pair[best - 1] = merges_.find(left[best - 1], left[best]);
  }
  ids.insert(ids.end(), left.begin(), left.begin() + count);
}

void BpeModel::merge_long(WordScratch& scratch, std::vector<std::int32_t>& ids) const {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  symbols.clear();
  heap.clear();
  const auto count = static_cast<std::int32_t>(scratch.initial.size());
  for (std::int32_t i = 0; i < count; ++i)
    symbols.push_back({scratch.initial[i], i - 1, i + 1 < count ? i + 1 : -1});
  const auto consider = [&](std::int32_t at) {
    const auto merge = merges_.find(symbols[at].id, symbols[symbols[at].next].id);
    if (merge.rank == MergeTable::kNoMerge) return false;
    heap.push_back({merge.rank, static_cast<std::uint32_t>(at), merge.id});
    return true;
  };
  for (std::int32_t i = 0; i + 1 < count; ++i) consider(i);
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    const auto top = heap.front();
    std::pop_heap(heap.begin(), heap.end(), later);
    heap.pop_back();
    auto& symbol = symbols[top.position];
    if (symbol.id < 0 || symbol.next < 0) continue;
    // Candidates are not removed when a neighbour changes, only seen to be out of date here.
    auto& right = symbols[symbol.next];
    const auto merge = merges_.find(symbol.id, right.id);
    if (merge.rank == MergeTable::kNoMerge || merge.id != top.id) continue;
    symbol.id = merge.id;
    symbol.next = right.next;
    right.id = -1;
    if (symbol.next >= 0) symbols[symbol.next].previous = static_cast<std::int32_t>(top.position);
    if (symbol.next >= 0 && consider(static_cast<std::int32_t>(top.position)))
      std::push_heap(heap.begin(), heap.end(), later);
    if (symbol.previous >= 0 && consider(symbol.previous)) std::push_heap(heap.begin(), heap.end(), later);
  }
  for (std::int32_t at = 0; at >= 0; at = symbols[at].next) ids.push_back(symbols[at].id);
}

}  // namespace anneal
