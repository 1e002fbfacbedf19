#include "nn/attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "nn/element_type.h"
#include "nn/plain_forms.h"
#include "nn/tile_gemm.h"

#ifndef ANNEAL_NN_ATTENTION_ARGUMENTS  // this file is compiled once for each SIMD target
#define ANNEAL_NN_ATTENTION_ARGUMENTS
namespace anneal {
namespace {

struct Problem {
  const at::Tensor &q, &k, &v;
  const at::Tensor &out, &log_sum_exp;
  SegmentStarts segment_starts;
  float scale;
  AttentionReach reach;
  const at::Tensor *d_out = nullptr, *dq = nullptr, *dk = nullptr, *dv = nullptr;

  std::int64_t tokens() const { return q.size(0); }
  std::int64_t heads() const { return q.size(1); }
  std::int64_t kv_heads() const { return k.size(1); }
  std::int64_t head_dim() const { return q.size(2); }
  std::int64_t group() const { return heads() / kv_heads(); }
  std::int64_t segments() const { return static_cast<std::int64_t>(segment_starts.size()) - 1; }
};

// One segment under one key/value head. The rows of a query tile are (token, head of the group), tokens
// first.
struct Task {
  std::int64_t kv_head, start, length, group, head_dim, tile_tokens;
  std::int64_t key_tiles() const { return (length + kTile - 1) / kTile; }
};

Task task_of(const Problem& p, std::int64_t index) {
  const std::int64_t segment = index % p.segments();
  const std::int64_t start = p.segment_starts[segment];
  return {index / p.segments(), start, p.segment_starts[segment + 1] - start, p.group(), p.head_dim(),
          kTile / p.group()};
}

// Copies `rows` rows of `width` elements, `stride` apart, and zeros up to kTile rows.
template <class T>
void copy_tile(const T* from, std::int64_t stride, std::int64_t rows, std::int64_t width, T* to) {
  for (std::int64_t row = 0; row < rows; ++row) std::copy_n(from + row * stride, width, to + row * width);
  std::fill(to + rows * width, to + kTile * width, T(0));
}

// The rows of a query tile in a tensor [N, H, D]: first token `token`, `tokens` of them.
template <class T>
void gather_queries(const T* base, const Problem& p, const Task& task, std::int64_t token,
                    std::int64_t tokens, T* tile) {
  const std::int64_t token_width = p.heads() * task.head_dim, group_width = task.group * task.head_dim;
  const T* first = base + (task.start + token) * token_width + task.kv_head * group_width;
  for (std::int64_t at = 0; at < tokens; ++at)
    std::copy_n(first + at * token_width, group_width, tile + at * group_width);
  std::fill(tile + tokens * group_width, tile + kTile * task.head_dim, T(0));
}

}  // namespace
}  // namespace anneal
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/attention.cpp"
#include <hwy/foreach_target.h>

#include "nn/pack-inl.h"
#include "nn/softmax-inl.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

template <class T>
void forward_task(const Problem& p, const Task& task) {
  const std::int64_t D = task.head_dim, padded = task.key_tiles() * kTile, kv_width = p.kv_heads() * D;
  const T *k = p.k.const_data_ptr<T>(), *v = p.v.const_data_ptr<T>();
  std::vector<T> tile(kTile * D), keys(padded * D), values(padded * D), weights(kTile * padded);
  std::vector<float> scores(kTile * padded), mixed(kTile * D);
  for (std::int64_t from = 0; from < task.length; from += kTile) {
    const std::int64_t rows = std::min(kTile, task.length - from);
    const std::int64_t offset = (task.start + from) * kv_width + task.kv_head * D;
    copy_tile(k + offset, kv_width, rows, D, tile.data());
    pack_columns(tile.data(), D, kTile, D, kTile, keys.data() + from * D);
    copy_tile(v + offset, kv_width, rows, D, tile.data());
    pack_rows(tile.data(), D, kTile, D, D, values.data() + from * D);
  }
  for (std::int64_t token = 0; token < task.length; token += task.tile_tokens) {
    const std::int64_t tokens = std::min(task.tile_tokens, task.length - token);
    const std::int64_t first = p.reach.first_key(token) / kTile * kTile;
    const std::int64_t end = (p.reach.key_end(token + tokens - 1, task.length) + kTile - 1) / kTile * kTile;
    gather_queries(p.q.const_data_ptr<T>(), p, task, token, tokens, tile.data());
    for (std::int64_t key = first; key < end; key += kTile)
      tile_gemm(kTile, kTile, D, tile.data(), D, keys.data() + key * D, scores.data() + key, padded, false);
    SoftmaxRow rows[kTile];
    for (std::int64_t row = 0; row < tokens * task.group; ++row) {
      const std::int64_t at = token + row / task.group;
      rows[row] = softmax_row(scores.data() + row * padded + first, p.reach.first_key(at) - first,
                              p.reach.key_end(at, task.length) - first, end - first, p.scale,
                              weights.data() + row * padded + first);
    }
    for (std::int64_t key = first; key < end; key += kTile)
      tile_gemm(kTile, D, kTile, weights.data() + key, padded, values.data() + key * D, mixed.data(), D,
                key > first);
    for (std::int64_t row = 0; row < tokens * task.group; ++row) {
      const std::int64_t at = task.start + token + row / task.group,
                         head = task.kv_head * task.group + row % task.group;
      scaled_store(mixed.data() + row * D, 1 / rows[row].sum, D,
                   p.out.mutable_data_ptr<T>() + (at * p.heads() + head) * D);
      p.log_sum_exp.mutable_data_ptr<float>()[head * p.tokens() + at] =
          rows[row].maximum * p.scale + std::log(rows[row].sum);
    }
  }
}

// What backward holds of one query tile.
template <class T>
struct QueryTile {
  std::vector<T> q, d_out, q_transposed, d_out_transposed, q_packed, d_out_packed;
  float log_sum_exp[kTile], dot[kTile];  // dot: the sum of d_out * out of a row
  std::int64_t token, tokens;
};

template <class T>
void load_query_tile(const Problem& p, const Task& task, std::int64_t token, QueryTile<T>& tile) {
  const std::int64_t D = task.head_dim;
  tile.token = token;
  tile.tokens = std::min(task.tile_tokens, task.length - token);
  std::vector<T>& out = tile.q_packed;  // borrowed until it is filled below
  gather_queries(p.out.const_data_ptr<T>(), p, task, token, tile.tokens, out.data());
  gather_queries(p.d_out->const_data_ptr<T>(), p, task, token, tile.tokens, tile.d_out.data());
  gather_queries(p.q.const_data_ptr<T>(), p, task, token, tile.tokens, tile.q.data());
  for (std::int64_t row = 0; row < kTile; ++row) {
    auto sum = hn::Zero(FloatTag());
    for_each_vector(D, [&](std::size_t at, std::size_t count) HWY_ATTR {
      sum = hn::MulAdd(load(out.data() + row * D + at, count), load(tile.d_out.data() + row * D + at, count),
                       sum);
    });
    tile.dot[row] = hn::GetLane(hn::SumOfLanes(FloatTag(), sum));
    const bool used = row < tile.tokens * task.group;
    const std::int64_t head = task.kv_head * task.group + row % task.group;
    tile.log_sum_exp[row] =
        used
            ? p.log_sum_exp.const_data_ptr<float>()[head * p.tokens() + task.start + token + row / task.group]
            : INFINITY;
  }
  pack_columns(tile.q.data(), D, kTile, D, kTile, tile.q_transposed.data());
  pack_columns(tile.d_out.data(), D, kTile, D, kTile, tile.d_out_transposed.data());
  pack_rows(tile.q.data(), D, kTile, D, D, tile.q_packed.data());
  pack_rows(tile.d_out.data(), D, kTile, D, D, tile.d_out_packed.data());
}

// From the transposed scores [key][query] and the gradients of the weights: weights and gradients of the
// scores.
template <class T>
void score_gradients(const QueryTile<T>& tile, std::int64_t first_key, std::int64_t group,
                     const AttentionReach& reach, float scale, const float* scores, const float* d_weights,
                     T* weights, T* d_scores) {
  const auto factor = hn::Set(FloatTag(), scale);
  for (std::int64_t key = 0; key < kTile; ++key) {
    const std::int64_t visible_from =
        std::clamp<std::int64_t>((first_key + key - tile.token) * group, 0, kTile);
    // A key is seen by `window` tokens, beginning with its own.
    const std::int64_t window = std::min(reach.window, tile.token + kTile);
    const std::int64_t visible_end =
        std::clamp<std::int64_t>((first_key + key - tile.token + window) * group, 0, kTile);
    for (std::int64_t at = 0; at < kTile; at += hn::Lanes(FloatTag())) {
      const auto row = key * kTile + at;
      const auto exponent = hn::Sub(hn::Mul(load(scores + row), factor), load(tile.log_sum_exp + at));
      auto weight = exponential(exponent);
      if (at < visible_from)
        weight = hn::IfThenElseZero(hn::Not(hn::FirstN(FloatTag(), visible_from - at)), weight);
      if (at + static_cast<std::int64_t>(hn::Lanes(FloatTag())) > visible_end)
        weight =
            hn::IfThenElseZero(hn::FirstN(FloatTag(), std::max<std::int64_t>(visible_end - at, 0)), weight);
      store(weight, weights + row);
      store(hn::Mul(hn::Mul(weight, hn::Sub(load(d_weights + row), load(tile.dot + at))), factor),
            d_scores + row);
    }
  }
}

template <class T>
void backward_task(const Problem& p, const Task& task) {
  const std::int64_t D = task.head_dim, padded = task.key_tiles() * kTile, kv_width = p.kv_heads() * D;
  std::vector<T> k(padded * D), v(padded * D), k_packed(padded * D);
  std::vector<float> dk(padded * D), dv(padded * D), dq(D * kTile), scores(kTile * kTile),
      d_weights(kTile * kTile);
  std::vector<T> weights(kTile * kTile), d_scores(kTile * kTile), d_scores_by_query(kTile * kTile);
  QueryTile<T> tile;
  for (auto* buffer :
       {&tile.q, &tile.d_out, &tile.q_transposed, &tile.d_out_transposed, &tile.q_packed, &tile.d_out_packed})
    buffer->resize(kTile * D);
  for (std::int64_t from = 0; from < task.length; from += kTile) {
    const std::int64_t rows = std::min(kTile, task.length - from);
    const std::int64_t offset = (task.start + from) * kv_width + task.kv_head * D;
    copy_tile(p.k.const_data_ptr<T>() + offset, kv_width, rows, D, k.data() + from * D);
    copy_tile(p.v.const_data_ptr<T>() + offset, kv_width, rows, D, v.data() + from * D);
    pack_rows(k.data() + from * D, D, kTile, D, D, k_packed.data() + from * D);
  }

  for (std::int64_t token = 0; token < task.length; token += task.tile_tokens) {
    load_query_tile(p, task, token, tile);
    const std::int64_t first = p.reach.first_key(token) / kTile * kTile;
    for (std::int64_t key = first; key < token + tile.tokens; key += kTile) {
      tile_gemm(kTile, kTile, D, k.data() + key * D, D, tile.q_transposed.data(), scores.data(), kTile,
                false);
      tile_gemm(kTile, kTile, D, v.data() + key * D, D, tile.d_out_transposed.data(), d_weights.data(), kTile,
                false);
      score_gradients(tile, key, task.group, p.reach, p.scale, scores.data(), d_weights.data(),
                      weights.data(), d_scores.data());
      transpose(d_scores.data(), kTile, kTile, kTile, d_scores_by_query.data(), kTile);
      tile_gemm(kTile, D, kTile, weights.data(), kTile, tile.d_out_packed.data(), dv.data() + key * D, D,
                true);
      tile_gemm(kTile, D, kTile, d_scores.data(), kTile, tile.q_packed.data(), dk.data() + key * D, D, true);
      tile_gemm(kTile, D, kTile, d_scores_by_query.data(), kTile, k_packed.data() + key * D, dq.data(), D,
                key > first);
    }
    for (std::int64_t row = 0; row < tile.tokens * task.group; ++row) {
      const std::int64_t at = task.start + token + row / task.group,
                         head = task.kv_head * task.group + row % task.group;
      scaled_store(dq.data() + row * D, 1, D, p.dq->mutable_data_ptr<T>() + (at * p.heads() + head) * D);
    }
  }
  for (std::int64_t row = 0; row < task.length; ++row) {
    const std::int64_t offset = (task.start + row) * kv_width + task.kv_head * D;
    scaled_store(dk.data() + row * D, 1, D, p.dk->mutable_data_ptr<T>() + offset);
    scaled_store(dv.data() + row * D, 1, D, p.dv->mutable_data_ptr<T>() + offset);
  }
}

void forward_tasks(const Problem& p, std::int64_t begin, std::int64_t end) {
  dispatch_element_type(p.q.scalar_type(), [&]<class T>(T*) HWY_ATTR {
    for (std::int64_t index = begin; index < end; ++index) forward_task<T>(p, task_of(p, index));
  });
}

void backward_tasks(const Problem& p, std::int64_t begin, std::int64_t end) {
  dispatch_element_type(p.q.scalar_type(), [&]<class T>(T*) HWY_ATTR {
    for (std::int64_t index = begin; index < end; ++index) backward_task<T>(p, task_of(p, index));
  });
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anneal {
namespace {

HWY_EXPORT(forward_tasks);
HWY_EXPORT(backward_tasks);

DeviceAttention device_attention{};

bool takes_device_attention(const at::Tensor& q_NHD, const at::Tensor& k_NKD) {
  return q_NHD.is_cuda() && device_attention.takes != nullptr && !wants_plain_form(Kernel::kAttention) &&
         device_attention.takes(q_NHD, k_NKD);
}

bool takes_fused_path(const at::Tensor& q_NHD, const at::Tensor& k_NKD) {
  return runs_kernel(Kernel::kAttention, q_NHD) && has_fused_attention(q_NHD.scalar_type()) &&
         q_NHD.size(2) % 2 == 0 && q_NHD.size(1) / k_NKD.size(1) <= kTile;
}

}  // namespace

void use_device_attention(const DeviceAttention& attention) { device_attention = attention; }

bool has_fused_attention(at::ScalarType type) {
  return type == at::kBFloat16 ? has_fast_tile_gemm<c10::BFloat16>() : has_fast_tile_gemm<float>();
}

AttentionOutput attention(const at::Tensor& q_NHD, const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                          SegmentStarts segment_starts, double scale, const AttentionReach& reach) {
  if (takes_device_attention(q_NHD, k_NKD))
    return device_attention.forward(q_NHD, k_NKD, v_NKD, segment_starts, scale, reach);
  if (!takes_fused_path(q_NHD, k_NKD))
    return plain::attention(q_NHD, k_NKD, v_NKD, segment_starts, scale, reach);
  const AttentionOutput output{at::empty_like(q_NHD), at::empty({q_NHD.size(1), q_NHD.size(0)}, at::kFloat)};
  const Problem problem{
      q_NHD, k_NKD, v_NKD, output.out_NHD, output.log_sum_exp_HN, segment_starts, static_cast<float>(scale),
      reach};
  at::parallel_for(0, problem.segments() * problem.kv_heads(), 1, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(forward_tasks)(problem, begin, end);
    release_tiles();
  });
  return output;
}

AttentionGradients attention_backward(const at::Tensor& d_out_NHD, const at::Tensor& q_NHD,
                                      const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                                      const AttentionOutput& forward, SegmentStarts segment_starts,
                                      double scale, const AttentionReach& reach) {
  if (takes_device_attention(q_NHD, k_NKD))
    return device_attention.backward(d_out_NHD, q_NHD, k_NKD, v_NKD, forward, segment_starts, scale, reach);
  if (!takes_fused_path(q_NHD, k_NKD))
    return plain::attention_backward(d_out_NHD, q_NHD, k_NKD, v_NKD, forward, segment_starts, scale, reach);
  AttentionGradients gradients{at::empty_like(q_NHD), at::empty_like(k_NKD), at::empty_like(v_NKD)};
  const Problem problem{q_NHD,
                        k_NKD,
                        v_NKD,
                        forward.out_NHD,
                        forward.log_sum_exp_HN,
                        segment_starts,
                        static_cast<float>(scale),
                        reach,
                        &d_out_NHD,
                        &gradients.dq_NHD,
                        &gradients.dk_NKD,
                        &gradients.dv_NKD};
  at::parallel_for(0, problem.segments() * problem.kv_heads(), 1, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(backward_tasks)(problem, begin, end);
    release_tiles();
  });
  return gradients;
}

}  // namespace anneal
#endif  // HWY_ONCE
