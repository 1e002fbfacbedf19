// What the parts of a training step take, each beside its plain form of ATen operations and the machine's
// limit. Shapes are Qwen3-0.6B's, in bfloat16. Columns: microseconds a token; `of_limit`, the share of what
// the part would take if its multiplications ran at the rate of torch's linear layers and its bytes at that
// of a copy, whichever is longer.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <benchmark/benchmark.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "nn/attention.h"
#include "nn/block_gemm.h"
#include "nn/cross_entropy.h"
#include "nn/dropout.h"
#include "nn/linear.h"
#include "nn/plain_forms.h"
#include "nn/rms_norm.h"
#include "nn/rotary.h"
#include "nn/swiglu.h"

namespace anneal {
namespace {

constexpr std::int64_t kTokens = 1536, kHidden = 1024, kWide = 3072, kRank = 32;
constexpr std::int64_t kHeads = 16, kKeyHeads = 8, kHeadDim = 128, kVocabulary = 151936, kHeadRows = 256;
constexpr double kElement = 2;  // bytes
constexpr double kDropout = 0.1;

double median_seconds(const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int turn = 0; turn < 9; ++turn) {
    const auto start = std::chrono::steady_clock::now();
    work();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

at::Tensor normal(at::IntArrayRef sizes) { return at::randn(sizes).to(at::kBFloat16); }

struct Limits {
  double flops, bytes;  // a second
};

const Limits& limits() {
  static const Limits found = [] {
    const auto x = normal({2048, kHidden}), weight = normal({kWide, kHidden});
    const double flops = 2.0 * 2048 * kHidden * kWide / median_seconds([&] { at::linear(x, weight); });
    const auto from = at::rand({64 << 20});  // 256 MB: past every cache
    auto to = at::empty_like(from);
    return Limits{flops, 2.0 * static_cast<double>(from.nbytes()) / median_seconds([&] { to.copy_(from); })};
  }();
  return found;
}

struct Part {
  const char* name;
  std::int64_t tokens;
  double flops, bytes;  // that the part cannot do without
  std::function<void()> work;
};

void measure(benchmark::State& state, const Part& part, bool plain) {
  const c10::InferenceMode no_autograd;
  std::optional<PlainForms> forms;
  if (plain) forms.emplace();
  part.work();
  double seconds = 0;
  std::int64_t turns = 0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    part.work();
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ++turns;
  }
  seconds /= static_cast<double>(turns);
  const double least = std::max(part.flops / limits().flops, part.bytes / limits().bytes);
  state.counters["us_per_token"] = seconds * 1e6 / static_cast<double>(part.tokens);
  state.counters["of_limit"] = least / seconds;
}

DropoutKeys dropout_keys(std::int64_t rows) { return {at::randint(1LL << 60, {rows}, at::kLong), 7}; }

Part norm_part(bool backward) {
  const auto x = normal({kTokens, kHidden}), weight = at::rand({kHidden});
  auto y = at::empty_like(x), inverse = at::empty({kTokens});
  rms_norm(x, weight, 1e-6, y, inverse);
  const double size = static_cast<double>(kTokens * kHidden) * kElement;
  if (!backward)
    return {"rms_norm", kTokens, 0, 2 * size, [=]() mutable { rms_norm(x, weight, 1e-6, y, inverse); }};
  return {"rms_norm_backward", kTokens, 0, 4 * size,
          [=]() mutable { rms_norm_backward(y, x, weight, inverse, y, /*accumulate=*/true); }};
}

Part rotary_part() {
  auto x = normal({kTokens, kHeads, kHeadDim});
  const auto angles = at::rand({kTokens, kHeadDim / 2});
  const RopeTable table{angles.cos(), angles.sin()};
  return {"rotary", kTokens, 0, 2 * static_cast<double>(x.nbytes()),
          [=]() mutable { apply_rope(x, table, Rotation::kForward); }};
}

Part swiglu_part(bool backward) {
  auto gate = normal({kTokens, kWide}), up = normal({kTokens, kWide});
  auto y = at::empty_like(gate);
  const double size = static_cast<double>(gate.nbytes());
  if (!backward) return {"swiglu", kTokens, 0, 3 * size, [=]() mutable { swiglu(gate, up, y); }};
  return {"swiglu_backward", kTokens, 0, 5 * size, [=]() mutable { swiglu_backward(y, gate, up); }};
}

Part dropout_part() {
  const auto x = normal({kTokens, kHidden});
  auto y = at::empty_like(x);
  const auto keys = dropout_keys(kTokens);
  return {"dropout", kTokens, 0, 2 * static_cast<double>(x.nbytes()),
          [=]() mutable { dropout(x, keys, kDropout, y); }};
}

Part loss_part() {
  auto logits = normal({kHeadRows, kVocabulary});
  const auto targets = at::randint(kVocabulary, {kHeadRows}, at::kLong);
  const RowLosses losses(kHeadRows, at::kCPU);
  return {"cross_entropy", kHeadRows, 0, 2 * static_cast<double>(logits.nbytes()),
          [=]() mutable { cross_entropy(logits, targets, 1e-3, losses); }};
}

Part attention_part(const char* name, std::int64_t length, bool backward) {
  const auto q = normal({kTokens, kHeads, kHeadDim}), k = normal({kTokens, kKeyHeads, kHeadDim}),
             v = normal({kTokens, kKeyHeads, kHeadDim});
  std::vector<std::int64_t> starts;
  for (std::int64_t start = 0; start <= kTokens; start += length) starts.push_back(start);
  const double pairs = static_cast<double>(kTokens) * static_cast<double>(length + 1) / 2;
  const double flops = 4 * pairs * kHeads * kHeadDim, scale = 0.088;
  if (!backward) return {name, kTokens, flops, 0, [=] { attention(q, k, v, starts, scale); }};
  const auto forward = attention(q, k, v, starts, scale);
  return {name, kTokens, 2 * flops, 0, [=] { attention_backward(q, q, k, v, forward, starts, scale); }};
}

// A product with its update, as a linear layer has them forward and backward.
Part product_part(const char* name, WeightLayout layout, bool drops) {
  const bool forward = layout == WeightLayout::kOutputsByInputs;
  const auto x = normal({kTokens, forward ? kHidden : kWide}), weight = normal({kWide, kHidden});
  const auto low = normal({kTokens, kRank}),
             update = normal(forward ? at::IntArrayRef{kWide, kRank} : at::IntArrayRef{kRank, kHidden});
  auto y = at::empty({kTokens, forward ? kWide : kHidden}, x.options());
  const auto keys = dropout_keys(kTokens);
  const double columns = static_cast<double>(y.size(1)), inner = static_cast<double>(x.size(1));
  return {name, kTokens, 2.0 * kTokens * columns * (inner + kRank), 0, [=]() mutable {
            if (takes_block_gemm(x)) {
              multiply({x, weight, layout}, Factors{low, update, layout},
                       drops ? std::optional(ProductDropout{keys, kDropout}) : std::nullopt, y, false);
              return;
            }
            y = forward ? at::linear(x, weight) : at::mm(x, weight);
            auto added = at::mm(low, forward ? update.t() : update);
            if (drops)
              add_dropout_backward(added, keys, kDropout, y);
            else
              y.add_(added);
          }};
}

Part weight_gradient_part() {
  const auto dy = normal({kTokens, kWide}), x = normal({kTokens, kHidden});
  auto gradient = at::rand({kWide, kHidden});
  return {"weight_gradient", kTokens, 2.0 * kTokens * kWide * kHidden, 0,
          [=]() mutable { add_weight_gradient(dy, x, gradient); }};
}

Part head_part(bool backward) {
  const auto x = normal({kHeadRows, kHidden}), weight = normal({kVocabulary, kHidden});
  auto logits = normal({kHeadRows, kVocabulary});
  auto dx = at::empty({kHeadRows, kHidden});
  const double flops = 2.0 * kHeadRows * kVocabulary * kHidden;
  if (!backward)
    return {"head", kHeadRows, flops, 0, [=]() mutable {
              if (takes_block_gemm(x))
                multiply({x, weight, WeightLayout::kOutputsByInputs}, {}, {}, logits, false);
              else
                at::linear_out(logits, x, weight);
            }};
  return {"head_backward", kHeadRows, flops, 0, [=]() mutable {
            if (takes_float_gemm(logits, kHidden))
              multiply_long(logits, weight, dx);
            else
              dx.copy_(at::mm(logits, weight));
          }};
}

void register_parts() {
  const std::vector<std::function<Part()>> parts = {
      [] { return norm_part(false); },
      [] { return norm_part(true); },
      [] { return rotary_part(); },
      [] { return swiglu_part(false); },
      [] { return swiglu_part(true); },
      [] { return dropout_part(); },
      [] { return loss_part(); },
      [] { return attention_part("attention_256", 256, false); },
      [] { return attention_part("attention_256_backward", 256, true); },
      [] { return attention_part("attention_1536", kTokens, false); },
      [] { return attention_part("attention_1536_backward", kTokens, true); },
      [] { return product_part("linear_lora", WeightLayout::kOutputsByInputs, false); },
      [] { return product_part("linear_lora_backward", WeightLayout::kInputsByOutputs, true); },
      [] { return weight_gradient_part(); },
      [] { return head_part(false); },
      [] { return head_part(true); },
  };
  for (const auto& make : parts) {
    const std::string name = make().name;
    for (const bool plain : {false, true})
      benchmark::RegisterBenchmark((name + (plain ? "/plain" : "/kernel")).c_str(),
                                   [make, plain](benchmark::State& state) { measure(state, make(), plain); })
          ->Unit(benchmark::kMillisecond)
          ->MinTime(0.3)
          ->UseRealTime();
  }
}

}  // namespace
}  // namespace anneal

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  anneal::register_parts();
  benchmark::RunSpecifiedBenchmarks();
}
