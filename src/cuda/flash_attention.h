// FlashAttention-2 (Dao 2023) over segments of different lengths, through ATen.
#pragma once
#include "nn/attention.h"

namespace anneal::cuda {

// bfloat16 or float16, heads of a multiple of 8 up to 256, a GPU from Ampere on.
bool takes_flash_attention(const at::Tensor& q_NHD, const at::Tensor& k_NKD);

AttentionOutput flash_attention(const at::Tensor& q_NHD, const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                                SegmentStarts segment_starts, double scale, const AttentionReach& reach);

AttentionGradients flash_attention_backward(const at::Tensor& d_out_NHD, const at::Tensor& q_NHD,
                                            const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                                            const AttentionOutput& forward, SegmentStarts segment_starts,
                                            double scale, const AttentionReach& reach);

}  // namespace anneal::cuda
