#include "engine/selftest.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/Event.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/exception_text.h"
#include "device/cuda_object.h"
#include "engine/selftest_collectives.h"
#include "engine/selftest_model.h"
#include "engine/selftest_values.h"
#include "nn/attention.h"
#include "nn/cross_entropy.h"
#include "nn/dropout.h"
#include "nn/plain_forms.h"
#include "nn/rms_norm.h"
#include "nn/rope_frequencies.h"
#include "nn/rotary.h"
#include "nn/swiglu.h"
#include "train/adamw.h"

namespace anneal {
namespace {

constexpr double kFloat32 = 2e-5;  // sums of some hundred float32 products, in another order
constexpr double kBf16 = 3e-2;     // operands and results of 8 bits
constexpr std::int64_t kRows = 48, kWidth = 320;

using Results = std::vector<at::Tensor>;

double largest_error(const Results& actual, const Results& expected) {
  double largest = 0;
  for (std::size_t at = 0; at < expected.size(); ++at) {
    const auto wanted = expected[at].cpu().to(at::kDouble);
    const auto difference = (actual[at].cpu().to(at::kDouble) - wanted).abs().max().item<double>();
    const double error = difference / std::max(wanted.abs().max().item<double>(), 1e-30);
    if (!(error <= largest)) largest = error;  // a NaN stays
  }
  return largest;
}

// The error of work(device) against work(processor).
template <class Work>
double error_of(at::Device device, const Work& work) {
  const auto expected = work(at::Device(at::kCPU));
  std::optional<PlainForms> plain_forms;
  if (device.is_cpu()) plain_forms.emplace();
  return largest_error(work(device), expected);
}

Results norms(at::Device device) {
  const auto x = random_values({kRows, kWidth}, 1).to(device),
             dy = random_values({kRows, kWidth}, 2).to(device);
  const auto weight = random_values({kWidth}, 3).add(1.5).to(device);
  auto y = at::empty_like(x), dx = random_values({kRows, kWidth}, 4).to(device);
  auto inverse_rms = at::empty({kRows}, x.options());
  rms_norm(x, weight, 1e-5, y, inverse_rms);
  rms_norm_backward(dy, x, weight, inverse_rms, dx, /*accumulate=*/true);
  return {y, inverse_rms, dx, rms_norm_weight_gradient(dy, x, inverse_rms)};
}

Results rotations(at::Device device) {
  auto forward = random_values({kRows, 5, 64}, 1).to(device),
       back = random_values({kRows, 5, 64}, 2).to(device);
  const auto positions = at::arange(kRows, at::kLong).to(device);
  const auto table = rope_table(positions, inverse_frequencies({.rotary_dim = 64}, kRows).to(device));
  apply_rope(forward, table, Rotation::kForward);
  apply_rope(back, table, Rotation::kInverse);
  return {forward, back};
}

Results activations(at::Device device) {
  auto gate = random_values({kRows, kWidth}, 1).mul(8).to(device),
       up = random_values({kRows, kWidth}, 2).to(device);
  auto activation = at::empty_like(gate);
  swiglu(gate, up, activation);
  swiglu_backward(random_values({kRows, kWidth}, 3).to(device), gate, up);
  return {activation, gate, up};
}

Results losses(at::Device device) {
  constexpr std::int64_t kVocabulary = 5000;
  auto logits = random_values({kRows, kVocabulary}, 1).mul(9).to(device);
  const auto targets = (at::arange(kRows, at::kLong) * 97).to(device);
  const RowLosses rows(kRows, device);
  cross_entropy(logits, targets, 0.25, rows);
  return {rows.nll_N, rows.target_is_argmax_N, logits};
}

// The number of bits that differ.
double dropout_difference(at::Device device) {
  const auto keys = random_values({kRows}, 5).to(at::kDouble).mul(9e18).to(at::kLong);
  const auto run = [&](at::Device where) -> Results {
    const auto x = random_values({kRows, kWidth}, 1).add(3).to(where);
    auto y = at::empty_like(x), sum = at::zeros_like(x);
    dropout(x, {keys.to(where), hash_name("q_proj")}, 0.1, y);
    add_dropout_backward(x, {keys.to(where), hash_name("q_proj")}, 0.1, sum);
    return {y.ne(0), sum.ne(0)};
  };
  return error_of(device, run);
}

Results updates(at::Device device) {
  Parameter parameter("weight", random_values({kRows, kWidth}, 1).to(device), at::kFloat);
  AdamW optimizer({&parameter}, 0.01);
  ProcessGroup alone;
  for (int step = 0; step < 3; ++step) {
    parameter.gradient.copy_(random_values({kRows, kWidth}, 10 + step));
    clip_gradients({&parameter}, 1, alone);
    optimizer.step(1e-3);
  }
  return {parameter.value, optimizer.first_moments()[0], optimizer.second_moments()[0]};
}

// Segments of one token, of less and of more than a tile; grouped heads.
Results attended(at::Device device, at::ScalarType type, std::int64_t head_dim) {
  static const std::vector<std::int64_t> starts{0, 1, 40, 300, 428};
  const auto take = [&](std::int64_t heads, std::uint64_t seed) {
    return random_values({starts.back(), heads, head_dim}, seed).to(device, at::kBFloat16).to(type);
  };
  const auto q = take(8, 1), k = take(2, 2), v = take(2, 3), d_out = take(8, 4);
  const double scale = 1 / std::sqrt(static_cast<double>(head_dim));
  const auto forward = attention(q, k, v, starts, scale);
  const auto d = attention_backward(d_out, q, k, v, forward, starts, scale);
  return {forward.out_NHD, d.dq_NHD, d.dk_NKD, d.dv_NKD};
}

// Of the device's own kernels, on the same inputs of 8 bits, against the plain form in float32.
double bf16_attention_error(at::Device device) {
  double largest = 0;
  for (const std::int64_t head_dim : {64, 128}) {
    const auto actual = attended(device, at::kBFloat16, head_dim);
    const PlainForms plain_forms;
    const double error = largest_error(actual, attended(device, at::kFloat, head_dim));
    if (!(error <= largest)) largest = error;
  }
  return largest;
}

double float32_attention_error(at::Device device) {
  return error_of(device, [](at::Device where) { return attended(where, at::kFloat, 64); });
}

// A stream beside that of the computation, and the event that joins them.
double prefetch_error(at::Device device) {
  const auto& table = *cuda_object().table;
  const auto source = random_values({1 << 20}, 1).pin_memory();
  const auto stream = table.prefetch_stream(device.index());
  const c10::impl::VirtualGuardImpl streams(device.type());
  c10::Event copied(device.type());
  at::Tensor there;
  {
    const c10::StreamGuard guard(stream);
    there = source.to(device, at::kFloat, /*non_blocking=*/true);
    copied.record(stream);
  }
  copied.block(streams.getStream(device));
  return largest_error({there.mul(2)}, {source.mul(2)});
}

}  // namespace

std::vector<SelfCheck> self_checks(c10::Device device) {
  std::vector<SelfCheck> checks{
      {"dropout bits", 0, [=] { return dropout_difference(device); }},
      {"norms", kFloat32, [=] { return error_of(device, norms); }},
      {"rotary embedding", kFloat32, [=] { return error_of(device, rotations); }},
      {"gated activation", kFloat32, [=] { return error_of(device, activations); }},
      {"loss and its gradient", kFloat32, [=] { return error_of(device, losses); }},
      {"clipping and AdamW", kFloat32, [=] { return error_of(device, updates); }},
      {"attention, float32", kFloat32, [=] { return float32_attention_error(device); }},
      {"attention, bfloat16", kBf16, [=] { return bf16_attention_error(device); }},
  };
  add_model_checks(device, checks);
  if (!device.is_cuda()) return checks;
  checks.push_back({"copies on a second stream", 0, [=] { return prefetch_error(device); }});
  add_collective_checks(checks);
  return checks;
}

std::vector<SelfCheckResult> run_checks(const std::vector<SelfCheck>& checks) {
  const c10::InferenceMode no_autograd;
  std::vector<SelfCheckResult> results;
  for (const auto& check : checks) {
    SelfCheckResult result{check.name, NAN, check.bound, {}};
    try {
      result.error = check.error();
    } catch (const std::exception& error) {
      result.problem = error.what();
    }
    results.push_back(result);
  }
  return results;
}

std::string describe(const SelfCheckResult& result) {
  const auto text = result.problem.empty()
                        ? fmt::format("error {:.1e}, at most {:.0e} is right", result.error, result.bound)
                        : first_line(result.problem);
  return fmt::format("{} {}: {}", result.passed() ? "ok    " : "FAILED", result.name, text);
}

}  // namespace anneal
