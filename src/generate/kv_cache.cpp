#include "generate/kv_cache.h"

#include <ATen/ops/zeros.h>

namespace anneal {
namespace {

std::int64_t blocks_for(std::int64_t tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens; }

}  // namespace

std::int64_t KvCache::take() {
  ++in_use_;
  if (!free_.empty()) {
    const auto id = free_.back();
    free_.pop_back();
    return id;
  }
  // Zeros: what lies behind a sequence's last token is multiplied with a weight of zero, and must be finite.
  blocks_.push_back({at::zeros({shape_.elements()}, at::TensorOptions().dtype(shape_.type))});
  return static_cast<std::int64_t>(blocks_.size()) - 1;
}

bool KvCache::grow(Blocks& blocks, std::int64_t tokens) {
  const auto wanted = blocks_for(tokens) - static_cast<std::int64_t>(blocks.ids.size());
  if (in_use_ + wanted > max_blocks_) return false;
  for (std::int64_t count = 0; count < wanted; ++count) {
    const auto id = take();
    blocks_[id].users = 1;
    blocks.ids.push_back(id);
    blocks.tensors.push_back(blocks_[id].tensor);
  }
  return true;
}

KvCache::Key KvCache::key_of(const Blocks& before, std::span<const std::int32_t> ids,
                             std::int64_t index) const {
  const auto tokens = ids.subspan(index * kBlockTokens, kBlockTokens);
  return {index == 0 ? -1 : before.ids[index - 1], {tokens.begin(), tokens.end()}};
}

std::int64_t KvCache::share(Blocks& blocks, std::span<const std::int32_t> ids) {
  std::int64_t shared = 0;
  while ((shared + 1) * kBlockTokens < static_cast<std::int64_t>(ids.size())) {
    const auto found = published_.find(key_of(blocks, ids, shared));
    if (found == published_.end()) break;
    ++blocks_[found->second].users;
    blocks.ids.push_back(found->second);
    blocks.tensors.push_back(blocks_[found->second].tensor);
    ++shared;
  }
  return shared * kBlockTokens;
}

void KvCache::publish(const Blocks& blocks, std::span<const std::int32_t> ids, std::int64_t tokens) {
  for (std::int64_t index = 0; (index + 1) * kBlockTokens <= tokens; ++index) {
    auto& block = blocks_[blocks.ids[index]];
    if (block.key) continue;
    auto key = key_of(blocks, ids, index);
    if (published_.emplace(key, blocks.ids[index]).second) block.key = std::move(key);
  }
}

void KvCache::release(Blocks& blocks) {
  for (const auto id : blocks.ids) {
    auto& block = blocks_[id];
    if (--block.users > 0) continue;
    if (block.key) published_.erase(*block.key);
    block.key.reset();
    free_.push_back(id);
    --in_use_;
  }
  blocks = Blocks();
}

}  // namespace anneal
