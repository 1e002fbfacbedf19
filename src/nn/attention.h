// Attention with grouped key/value heads over a padding-free batch: tokens of several segments laid end to
// end, each token attending to tokens of its own segment. Scores and softmax in float32. Shapes: N tokens, H
// query heads, K key/value heads (H a multiple of K), D head size.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "architecture/attention_reach.h"

namespace anneal {

// segment_starts has one entry more than there are segments; the last is N.
using SegmentStarts = std::span<const std::int64_t>;

struct AttentionOutput {
  at::Tensor out_NHD;         // dtype of q
  at::Tensor log_sum_exp_HN;  // float32, of the scaled scores
};

AttentionOutput attention(const at::Tensor& q_NHD, const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                          SegmentStarts segment_starts, double scale, const AttentionReach& reach = {});

struct AttentionGradients {
  at::Tensor dq_NHD, dk_NKD, dv_NKD;
};

AttentionGradients attention_backward(const at::Tensor& d_out_NHD, const at::Tensor& q_NHD,
                                      const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                                      const AttentionOutput& forward, SegmentStarts segment_starts,
                                      double scale, const AttentionReach& reach = {});

namespace plain {
AttentionOutput attention(const at::Tensor& q_NHD, const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                          SegmentStarts segment_starts, double scale, const AttentionReach& reach = {});
AttentionGradients attention_backward(const at::Tensor& d_out_NHD, const at::Tensor& q_NHD,
                                      const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                                      const AttentionOutput& forward, SegmentStarts segment_starts,
                                      double scale, const AttentionReach& reach = {});
}  // namespace plain

// Attention of GPUs, from the object that is loaded where there is one: used for the tensors of its device
// that it takes, unless a PlainForms lives.
struct DeviceAttention {
  bool (*takes)(const at::Tensor& q_NHD, const at::Tensor& k_NKD);
  decltype(&attention) forward;
  decltype(&attention_backward) backward;
};
void use_device_attention(const DeviceAttention& attention);

// True where the fused kernels run for this element type: they need the batch-reduce GEMM of the processor's
// AVX-512 units. Elsewhere the plain form is used.
bool has_fused_attention(at::ScalarType type);

}  // namespace anneal
