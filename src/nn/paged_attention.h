// Attention of new tokens to all tokens of their sequence, with keys and values in blocks that need not lie
// side by side. A token's result depends on its own sequence alone, bit for bit: neither on the batch nor on
// how the sequence was cut into passes. Shapes: N new tokens, H query heads, K key/value heads, D head size.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "nn/attention.h"

namespace anneal {

inline constexpr std::int64_t kBlockTokens = 32;

// What one block holds: kBlockTokens tokens of all layers. Keys and values lie as packed operands of
// tile_gemm.
struct KvBlockShape {
  std::int64_t layers, kv_heads, head_dim;
  at::ScalarType type;  // float32 or bfloat16

  std::int64_t elements() const { return layers * layer_elements(); }
  std::int64_t layer_elements() const { return kv_heads * head_elements(); }
  std::int64_t head_elements() const { return 2 * part_elements(); }  // keys, then values
  std::int64_t part_elements() const { return kBlockTokens * padded_head_dim(); }
  // Keys are packed along the head, in whole pairs.
  std::int64_t padded_head_dim() const { return (head_dim + 1) / 2 * 2; }
};

// The new tokens of one sequence: rows [first_row, first_row + rows) of the batch, at the positions from
// `past` on. The blocks are flat tensors of KvBlockShape::elements(), enough for past + rows tokens.
struct PagedSequence {
  std::int64_t first_row, rows, past;
  std::span<const at::Tensor> blocks;
};

// Stores the new keys and values, then attends: each token to itself and those before it, within the window
// of `reach`. Returns out_NHD.
at::Tensor paged_attention(const at::Tensor& q_NHD, const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                           std::span<const PagedSequence> sequences, const KvBlockShape& shape,
                           std::int64_t layer, double scale, const AttentionReach& reach = {});

}  // namespace anneal
