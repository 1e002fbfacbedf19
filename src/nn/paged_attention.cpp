#include "nn/paged_attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "nn/element_type.h"
#include "nn/tile_gemm.h"

#ifndef ANNEAL_NN_PAGED_ATTENTION_ARGUMENTS  // this file is compiled once for each SIMD target
#define ANNEAL_NN_PAGED_ATTENTION_ARGUMENTS
namespace anneal {
namespace {

struct PagedProblem {
  const at::Tensor &q, &out;
  const KvBlockShape& shape;
  std::int64_t layer;
  float scale;
  AttentionReach reach;

  std::int64_t heads() const { return q.size(1); }
  std::int64_t group() const { return heads() / shape.kv_heads; }
};

// Some tokens of a sequence under one key/value head. The rows of its tile are (token, head of the group),
// tokens first; token 0 is the first of the task.
struct PagedTask {
  const PagedSequence* sequence;
  std::int64_t kv_head, token, tokens;
};

template <class T>
T* block_part(const at::Tensor& block, const KvBlockShape& shape, std::int64_t layer, std::int64_t kv_head,
              bool values) {
  return static_cast<T*>(block.data_ptr()) + layer * shape.layer_elements() +
         kv_head * shape.head_elements() + (values ? shape.part_elements() : 0);
}

}  // namespace
}  // namespace anneal
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/paged_attention.cpp"
#include <hwy/foreach_target.h>

#include "nn/softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

template <class T>
void paged_task(const PagedProblem& p, const PagedTask& task) {
  const std::int64_t D = p.shape.head_dim, inner = p.shape.padded_head_dim(), group = p.group();
  const std::int64_t rows = task.tokens * group, past = task.sequence->past + task.token;
  const std::int64_t first = p.reach.first_key(past) / kBlockTokens,
                     end = (past + task.tokens + kBlockTokens - 1) / kBlockTokens;
  const std::int64_t hidden = first * kBlockTokens, keys = (end - first) * kBlockTokens;
  // A single token is the common case; all others take whole tiles, so that few products are compiled.
  const std::int64_t tile_rows = task.tokens == 1 ? group : kTile;
  thread_local std::vector<T> queries, weights;
  thread_local std::vector<float> scores, mixed;
  queries.assign(tile_rows * inner, T(0));
  weights.resize(tile_rows * keys);
  scores.resize(tile_rows * keys);
  mixed.resize(tile_rows * D);

  const T* q = p.q.const_data_ptr<T>() +
               ((task.sequence->first_row + task.token) * p.heads() + task.kv_head * group) * D;
  for (std::int64_t row = 0; row < rows; ++row)
    std::copy_n(q + (row / group * p.heads() + row % group) * D, D, queries.data() + row * inner);
  for (std::int64_t block = first; block < end; ++block)
    tile_gemm(tile_rows, kBlockTokens, inner, queries.data(), inner,
              block_part<T>(task.sequence->blocks[block], p.shape, p.layer, task.kv_head, false),
              scores.data() + block * kBlockTokens - hidden, keys, false);
  SoftmaxRow softmax[kTile];
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t token = past + row / group;
    softmax[row] = softmax_row(scores.data() + row * keys, p.reach.first_key(token) - hidden,
                               token + 1 - hidden, keys, p.scale, weights.data() + row * keys);
  }
  for (std::int64_t block = first; block < end; ++block)
    tile_gemm(tile_rows, D, kBlockTokens, weights.data() + block * kBlockTokens - hidden, keys,
              block_part<T>(task.sequence->blocks[block], p.shape, p.layer, task.kv_head, true), mixed.data(),
              D, block > first);
  T* out = p.out.mutable_data_ptr<T>() +
           ((task.sequence->first_row + task.token) * p.heads() + task.kv_head * group) * D;
  for (std::int64_t row = 0; row < rows; ++row)
    scaled_store(mixed.data() + row * D, 1 / softmax[row].sum, D,
                 out + (row / group * p.heads() + row % group) * D);
}

void run_paged_task(const PagedProblem& p, const PagedTask& task) {
  dispatch_element_type(p.q.scalar_type(), [&]<class T>(T*) HWY_ATTR { paged_task<T>(p, task); });
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anneal {
namespace {

HWY_EXPORT(run_paged_task);

template <class T>
void store_token(const T* k, const T* v, const PagedSequence& sequence, std::int64_t row,
                 const KvBlockShape& shape, std::int64_t layer) {
  const auto position = sequence.past + row, slot = position % kBlockTokens;
  const auto& block = sequence.blocks[position / kBlockTokens];
  const auto D = shape.head_dim;
  for (std::int64_t head = 0; head < shape.kv_heads; ++head) {
    T* keys = block_part<T>(block, shape, layer, head, false);
    T* values = block_part<T>(block, shape, layer, head, true);
    for (std::int64_t column = 0; column < D; ++column) {
      keys[packed_index<T>(column, slot, kBlockTokens)] = k[head * D + column];
      values[packed_index<T>(slot, column, D)] = v[head * D + column];
    }
  }
}

void store_keys_and_values(const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                           std::span<const PagedSequence> sequences, const KvBlockShape& shape,
                           std::int64_t layer) {
  const auto width = shape.kv_heads * shape.head_dim;
  dispatch_element_type(k_NKD.scalar_type(), [&]<class T>(T*) {
    const T *k = k_NKD.const_data_ptr<T>(), *v = v_NKD.const_data_ptr<T>();
    at::parallel_for(0, static_cast<std::int64_t>(sequences.size()), 1,
                     [&](std::int64_t begin, std::int64_t end) {
                       for (std::int64_t index = begin; index < end; ++index)
                         for (std::int64_t row = 0; row < sequences[index].rows; ++row) {
                           const auto offset = (sequences[index].first_row + row) * width;
                           store_token(k + offset, v + offset, sequences[index], row, shape, layer);
                         }
                     });
  });
}

std::vector<PagedTask> paged_tasks(std::span<const PagedSequence> sequences, const PagedProblem& problem) {
  const std::int64_t tile_tokens = kTile / problem.group();
  std::vector<PagedTask> tasks;
  for (const auto& sequence : sequences)
    for (std::int64_t head = 0; head < problem.shape.kv_heads; ++head)
      for (std::int64_t token = 0; token < sequence.rows; token += tile_tokens)
        tasks.push_back({&sequence, head, token, std::min(tile_tokens, sequence.rows - token)});
  return tasks;
}

}  // namespace

at::Tensor paged_attention(const at::Tensor& q_NHD, const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                           std::span<const PagedSequence> sequences, const KvBlockShape& shape,
                           std::int64_t layer, double scale, const AttentionReach& reach) {
  TORCH_CHECK(q_NHD.size(1) / shape.kv_heads <= kTile, "at most ", kTile, " query heads share a key");
  store_keys_and_values(k_NKD, v_NKD, sequences, shape, layer);
  const auto out_NHD = at::empty_like(q_NHD);
  const PagedProblem problem{q_NHD, out_NHD, shape, layer, static_cast<float>(scale), reach};
  const auto tasks = paged_tasks(sequences, problem);
  // Tasks differ in size by the length of their sequence: each thread takes the next one.
  std::atomic<std::size_t> next = 0;
  at::parallel_for(0, at::get_num_threads(), 1, [&](std::int64_t, std::int64_t) {
    for (std::size_t index = next++; index < tasks.size(); index = next++)
      HWY_DYNAMIC_DISPATCH(run_paged_task)(problem, tasks[index]);
    release_tiles();
  });
  return out_NHD;
}

}  // namespace anneal
#endif  // HWY_ONCE
