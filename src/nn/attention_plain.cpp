// The plain form of attention, segment by segment: its meaning, its oracle, and the path of processors and
// devices that the fused kernels do not know.
#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/ones.h>

#include <limits>

#include "nn/attention.h"

namespace anneal::plain {
namespace {

// Rows [begin, end) of x_NHD as float32 [H, T, D], every head repeated `times` times.
at::Tensor heads_first(const at::Tensor& x_NHD, std::int64_t begin, std::int64_t end, std::int64_t times) {
  const auto heads = x_NHD.slice(0, begin, end).to(at::kFloat).transpose(0, 1);
  return heads.repeat_interleave(times, 0).contiguous();
}

at::Tensor masked_scores(const at::Tensor& q_HTD, const at::Tensor& k_HTD, double scale,
                         const AttentionReach& reach) {
  const auto scores = at::bmm(q_HTD, k_HTD.transpose(1, 2)) * scale;
  if (!reach.is_causal) return scores;
  const auto all = at::ones({scores.size(1), scores.size(2)}, scores.options().dtype(at::kBool));
  auto hidden = all.triu(1);
  if (reach.window < scores.size(2)) hidden.logical_or_(all.tril(-reach.window));
  return scores.masked_fill(hidden, -std::numeric_limits<double>::infinity());
}

void put(at::Tensor& to_NHD, std::int64_t begin, std::int64_t end, const at::Tensor& from_HTD) {
  to_NHD.slice(0, begin, end).copy_(from_HTD.transpose(0, 1));
}

at::Tensor sum_groups(const at::Tensor& x_HTD, std::int64_t kv_heads) {
  return x_HTD.view({kv_heads, -1, x_HTD.size(1), x_HTD.size(2)}).sum(1);
}

}  // namespace

AttentionOutput attention(const at::Tensor& q_NHD, const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                          SegmentStarts segment_starts, double scale, const AttentionReach& reach) {
  const auto group = q_NHD.size(1) / k_NKD.size(1);
  AttentionOutput output{at::empty_like(q_NHD),
                         at::empty({q_NHD.size(1), q_NHD.size(0)}, q_NHD.options().dtype(at::kFloat))};
  for (std::size_t segment = 0; segment + 1 < segment_starts.size(); ++segment) {
    const auto begin = segment_starts[segment], end = segment_starts[segment + 1];
    const auto scores =
        masked_scores(heads_first(q_NHD, begin, end, 1), heads_first(k_NKD, begin, end, group), scale, reach);
    const auto largest = scores.amax(-1, true);
    const auto log_sum_exp = at::exp(scores - largest).sum(-1, true).log_().add_(largest);
    const auto weights = at::exp(scores - log_sum_exp);
    put(output.out_NHD, begin, end, at::bmm(weights, heads_first(v_NKD, begin, end, group)));
    output.log_sum_exp_HN.slice(1, begin, end).copy_(log_sum_exp.squeeze(-1));
  }
  return output;
}

AttentionGradients attention_backward(const at::Tensor& d_out_NHD, const at::Tensor& q_NHD,
                                      const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                                      const AttentionOutput& forward, SegmentStarts segment_starts,
                                      double scale, const AttentionReach& reach) {
  const auto kv_heads = k_NKD.size(1), group = q_NHD.size(1) / kv_heads;
  AttentionGradients gradients{at::empty_like(q_NHD), at::empty_like(k_NKD), at::empty_like(v_NKD)};
  for (std::size_t segment = 0; segment + 1 < segment_starts.size(); ++segment) {
    const auto begin = segment_starts[segment], end = segment_starts[segment + 1];
    const auto q = heads_first(q_NHD, begin, end, 1), k = heads_first(k_NKD, begin, end, group);
    const auto v = heads_first(v_NKD, begin, end, group), d_out = heads_first(d_out_NHD, begin, end, 1);
    const auto log_sum_exp = forward.log_sum_exp_HN.slice(1, begin, end).unsqueeze(-1);
    const auto weights = at::exp(masked_scores(q, k, scale, reach) - log_sum_exp);
    const auto d_weights = at::bmm(d_out, v.transpose(1, 2));
    const auto dot = (weights * d_weights).sum(-1, true);
    const auto d_scores = weights * (d_weights - dot) * scale;
    put(gradients.dq_NHD, begin, end, at::bmm(d_scores, k));
    put(gradients.dk_NKD, begin, end, sum_groups(at::bmm(d_scores.transpose(1, 2), q), kv_heads));
    put(gradients.dv_NKD, begin, end, sum_groups(at::bmm(weights.transpose(1, 2), d_out), kv_heads));
  }
  return gradients;
}

}  // namespace anneal::plain
