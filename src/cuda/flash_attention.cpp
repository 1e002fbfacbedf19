#include "cuda/flash_attention.h"

#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "cuda/devices.h"

namespace anneal::cuda {
namespace {

constexpr double kNoDropout = 0;

struct Segments {
  std::vector<std::int64_t> starts;
  at::Tensor starts_on_device;  // int32, as the kernels want them
  std::int64_t longest = 0;
};

// All layers of a micro-batch ask for the same segments: the last ones stay on the device.
const Segments& segments_of(SegmentStarts starts, at::Device device) {
  thread_local Segments last;
  if (std::equal(starts.begin(), starts.end(), last.starts.begin(), last.starts.end()) &&
      last.starts_on_device.defined() && last.starts_on_device.device() == device)
    return last;
  last.starts.assign(starts.begin(), starts.end());
  last.starts_on_device = at::tensor(last.starts).to(device, at::kInt);
  last.longest = 0;
  for (std::size_t at = 1; at < starts.size(); ++at)
    last.longest = std::max(last.longest, starts[at] - starts[at - 1]);
  return last;
}

// Tokens before itself that a token attends to, where not all.
std::optional<std::int64_t> window_left(const AttentionReach& reach) {
  if (reach.window == AttentionReach::kNoWindow) return std::nullopt;
  return reach.window - 1;
}

bool is_ampere_or_later(int index) {
  constexpr int kAmpere = 8;
  thread_local std::vector<int> majors;
  while (static_cast<int>(majors.size()) <= index)
    majors.push_back(device(static_cast<int>(majors.size())).major);
  return majors[index] >= kAmpere;
}

}  // namespace

bool takes_flash_attention(const at::Tensor& q_NHD, const at::Tensor& k_NKD) {
  constexpr std::int64_t kHeadMultiple = 8, kLargestHead = 256;
  const auto type = q_NHD.scalar_type();
  const auto head_dim = q_NHD.size(2);
  return (type == at::kBFloat16 || type == at::kHalf) && k_NKD.scalar_type() == type &&
         head_dim % kHeadMultiple == 0 && head_dim <= kLargestHead &&
         is_ampere_or_later(q_NHD.device().index());
}

AttentionOutput flash_attention(const at::Tensor& q_NHD, const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                                SegmentStarts segment_starts, double scale, const AttentionReach& reach) {
  const auto& segments = segments_of(segment_starts, q_NHD.device());
  const auto result = at::_flash_attention_forward(
      q_NHD, k_NKD, v_NKD, segments.starts_on_device, segments.starts_on_device, segments.longest,
      segments.longest, kNoDropout, reach.is_causal, /*return_debug_mask=*/false, scale, window_left(reach));
  return {std::get<0>(result), std::get<1>(result)};
}

AttentionGradients flash_attention_backward(const at::Tensor& d_out_NHD, const at::Tensor& q_NHD,
                                            const at::Tensor& k_NKD, const at::Tensor& v_NKD,
                                            const AttentionOutput& forward, SegmentStarts segment_starts,
                                            double scale, const AttentionReach& reach) {
  const auto& segments = segments_of(segment_starts, q_NHD.device());
  // Read for dropout alone, of which there is none.
  const auto options = q_NHD.options().dtype(at::kUInt64);
  const auto random_state = at::empty({2}, options), unused = at::empty({}, options);
  const auto [dq_NHD, dk_NKD, dv_NKD] = at::_flash_attention_backward(
      d_out_NHD.contiguous(), q_NHD, k_NKD, v_NKD, forward.out_NHD, forward.log_sum_exp_HN,
      segments.starts_on_device, segments.starts_on_device, segments.longest, segments.longest, kNoDropout,
      /*is_causal=*/true, random_state, unused, scale, window_left(reach));
  return {dq_NHD, dk_NKD, dv_NKD};
}

}  // namespace anneal::cuda
