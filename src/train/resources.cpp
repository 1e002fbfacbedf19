#include "train/resources.h"

#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <new>
#include <string_view>

#include "base/byte_size.h"
#include "device/device.h"

namespace anneal {
namespace {

constexpr std::int64_t kPreferredTokens = 8192;  // GEMMs gain nothing from more rows

std::int64_t element_bytes(const CausalLm& model) { return model.precision.compute == at::kBFloat16 ? 2 : 4; }

// The inputs of norms and of attention, and what the MLP or the experts of a token hold.
std::int64_t kept_values_per_token(const ModelConfig& c, const DecoderLayer& layer) {
  std::int64_t values = 2 * c.hidden_size + 2 * c.q_width() + 2 * c.kv_width();
  if (layer.moe)
    values += layer.moe->experts_per_token * (2 * c.experts->intermediate_size + c.hidden_size);
  else
    values += 2 * c.intermediate_size;
  double adapter = 0;
  layer.for_each_linear([&](const Linear& linear) {
    if (linear.lora) adapter += linear.share_of_tokens * static_cast<double>(linear.lora->a_RI.shape[0]);
    if (linear.has_magnitude()) adapter += static_cast<double>(linear.out_features());
  });
  return values + static_cast<std::int64_t>(adapter);
}

}  // namespace

std::int64_t kept_bytes_per_token(const CausalLm& model) {
  std::int64_t most = 0;
  for (const auto& layer : model.layers)
    most = std::max(most, kept_values_per_token(model.config, layer) * element_bytes(model));
  return most + model.config.num_attention_heads * 4;
}

std::int64_t recomputed_bytes_per_token(const CausalLm& model) {
  return model.config.hidden_size * element_bytes(model);
}

double measured_gemm_flops_per_second(const std::vector<std::vector<std::int64_t>>& shapes,
                                      at::TensorOptions options) {
  constexpr std::int64_t kRows = 2048;
  constexpr int kRepeats = 5;
  const c10::InferenceMode no_autograd;
  double flops = 0, seconds = 0;
  std::map<std::vector<std::int64_t>, double> seconds_of;  // by shape: experts are many, and alike
  for (const auto& shape : shapes) {
    if (seconds_of.count(shape) == 0) {
      const auto x = at::zeros({kRows, shape[1]}, options);
      const auto weight = at::zeros(shape, options);
      synchronize(options.device());
      double fastest = std::numeric_limits<double>::infinity();  // a limit is what the machine can do
      for (int repeat = 0; repeat < kRepeats; ++repeat) {
        const auto start = std::chrono::steady_clock::now();
        at::linear(x, weight);
        synchronize(options.device());
        fastest = std::min(fastest,
                           std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      }
      seconds_of[shape] = fastest;
    }
    seconds += seconds_of[shape];
    flops += 2.0 * kRows * static_cast<double>(shape[0] * shape[1]);
  }
  return flops / seconds;
}

double measured_gemm_flops_per_second(const CausalLm& model) {
  std::vector<std::vector<std::int64_t>> shapes;
  model.layers.front().for_each_linear(
      [&](const Linear& linear) { shapes.push_back(linear.weight_OI.sizes().vec()); });
  return measured_gemm_flops_per_second(
      shapes, at::TensorOptions(model.device).dtype(model.precision.compute));
}

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
      dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr)
    return true;
  const std::string_view text = error.what();
  // The second is oneDNN's: its kernels are code that it cannot place.
  return text.find("DefaultCPUAllocator") != text.npos ||
         text.find("could not create a primitive") != text.npos;
}

std::string memory_use_text(const CausalLm& model, const StepPlan& plan, std::int64_t longest) {
  std::int64_t trained = 0;
  for (const auto* parameter : model.parameters()) trained += parameter->numel();
  const auto tokens = std::max(plan.micro_batch_tokens, longest);
  const auto layers = model.config.num_hidden_layers;
  const auto activations = tokens * (kept_bytes_per_token(model) * (plan.kept_layers + 1) +
                                     recomputed_bytes_per_token(model) * layers);
  return fmt::format(
      "base weights {}, trained weights with gradients and optimizer {}, activations of {} tokens {}; "
      "free {}",
      byte_size_text(model.num_parameters() * element_bytes(model)),
      byte_size_text(trained * kBytesOfATrainedWeight), tokens, byte_size_text(activations),
      byte_size_text(free_bytes(model.device)));
}

StepPlan make_plan(const CausalLm& model, const PlanRequest& request, std::int64_t free_bytes) {
  const auto num_layers = model.config.num_hidden_layers;
  const auto kept = kept_bytes_per_token(model), recomputed = recomputed_bytes_per_token(model);
  const auto usable = static_cast<std::int64_t>(static_cast<double>(free_bytes) * kUsableShare);
  const auto fitting = usable / std::max<std::int64_t>(1, kept * num_layers);
  StepPlan plan{};
  plan.micro_batch_tokens = request.micro_batch_tokens.value_or(
      std::max(request.longest_sample, std::min({kPreferredTokens, fitting, request.largest_pool_tokens})));
  if (request.gradient_checkpointing == "on") return plan;
  plan.kept_layers = num_layers;
  if (request.gradient_checkpointing == "off") return plan;
  const auto tokens =
      std::min(std::max(plan.micro_batch_tokens, request.longest_sample), request.largest_pool_tokens);
  // One layer at a time holds its activations while it recomputes.
  const auto left = usable - tokens * (recomputed * num_layers + kept);
  plan.kept_layers =
      std::clamp<std::int64_t>(left / std::max<std::int64_t>(1, tokens * (kept - recomputed)), 0, num_layers);
  return plan;
}

}  // namespace anneal
