// The blocks of keys and values that sequences hold, with the full blocks of equal beginnings shared.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "nn/paged_attention.h"

namespace anneal {

class KvCache {
 public:
  // At most `max_blocks` blocks are in use at a time; memory is taken as they are needed and then kept.
  KvCache(const KvBlockShape& shape, std::int64_t max_blocks) : shape_(shape), max_blocks_(max_blocks) {}

  // The blocks of one sequence, in order. Given back with release().
  struct Blocks {
    std::vector<std::int64_t> ids;
    std::vector<at::Tensor> tensors;
  };

  // Makes room for the first `tokens` tokens of `ids`. False where there is not enough; nothing has changed
  // then.
  bool grow(Blocks& blocks, std::int64_t tokens);

  // Gives a sequence that holds nothing the full blocks with which another one begins alike, and returns how
  // many tokens they cover: fewer than ids.size(), as the last one has to be reckoned for what it predicts.
  // Tokens that are still to be stored in this pass count: a pass stores all keys and values of a layer
  // before it attends.
  std::int64_t share(Blocks& blocks, std::span<const std::int32_t> ids);

  // Lets others share the full blocks among the first `tokens` tokens of `ids`.
  void publish(const Blocks& blocks, std::span<const std::int32_t> ids, std::int64_t tokens);

  void release(Blocks& blocks);

  const KvBlockShape& shape() const { return shape_; }
  std::int64_t blocks_in_use() const { return in_use_; }
  std::int64_t max_blocks() const { return max_blocks_; }

 private:
  // A full block of known content: the block before it (-1: none), which lives as long as this one, and its
  // tokens.
  using Key = std::pair<std::int64_t, std::vector<std::int32_t>>;
  struct Block {
    at::Tensor tensor;
    std::int64_t users = 0;
    std::optional<Key> key;  // where it is published
  };
  std::int64_t take();
  Key key_of(const Blocks& before, std::span<const std::int32_t> ids, std::int64_t index) const;

  KvBlockShape shape_;
  std::int64_t max_blocks_;
  std::int64_t in_use_ = 0;
  std::vector<Block> blocks_;
  std::vector<std::int64_t> free_;
  std::map<Key, std::int64_t> published_;
};

}  // namespace anneal
