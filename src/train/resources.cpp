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
#include "models/trained_shape.h"

namespace anneal {

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
  return measured_gemm_flops_per_second(shapes,
                                        at::TensorOptions(model.device).dtype(model.precision.compute));
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

StepSetup setup_of(const CausalLm& model, int ranks) {
  const auto base = model.embedding_VE.scalar_type();
  return {.compute_bytes = static_cast<std::int64_t>(c10::elementSize(model.precision.compute)),
          .base_bytes = static_cast<std::int64_t>(c10::elementSize(base)),
          .is_gpu = !model.device.is_cpu(),
          .maps_weights = model.device.is_cpu() && base == model.stored_dtype(),
          .ranks = ranks,
          .is_sharded = model.is_shared()};
}

std::string memory_use_text(const CausalLm& model, int ranks, const StepPlan& plan, std::int64_t longest) {
  const auto tokens = std::max(plan.micro_batch_tokens, longest);
  const auto memory = step_memory(shape_of(model), setup_of(model, ranks), {tokens, plan.kept_layers});
  std::string text = fmt::format("micro-batch of {} tokens", tokens);
  for (const auto& [name, bytes] : memory.parts())
    if (bytes > 0) text += fmt::format(", {} {}", name, byte_size_text(bytes));
  return text + "; free " + byte_size_text(free_bytes(model.device));
}

}  // namespace anneal
