#include "models/lora_adapter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <regex>

#include "base/random.h"
#include "nn/dora.h"

namespace anneal {
namespace {

double value_for(const std::string& module, const ModulePatterns& patterns, double otherwise) {
  for (const auto& [pattern, value] : patterns)
    if (std::regex_match(module, std::regex("(?:.*\\.)?(?:" + pattern + ")"))) return value;
  return otherwise;
}

at::Tensor initial_a(std::int64_t rank, std::int64_t in_features, std::uint64_t key) {
  auto a_RI = at::empty({rank, in_features}, at::kFloat);
  float* values = a_RI.mutable_data_ptr<float>();
  const double bound = 1 / std::sqrt(static_cast<double>(in_features));
  for (std::int64_t element = 0; element < a_RI.numel(); ++element)
    values[element] = static_cast<float>((2 * to_unit_interval(mix(key, element)) - 1) * bound);
  return a_RI;
}

std::string closest_modules(CausalLm& model) {
  std::vector<std::string> names;
  model.for_each_linear([&](const Linear& linear) { names.push_back(linear.name); });
  return endings_text(names);
}

}  // namespace

std::int64_t LoraShape::rank_of(const std::string& module) const {
  return static_cast<std::int64_t>(value_for(module, rank_pattern, static_cast<double>(rank)));
}

double LoraShape::scale_of(const std::string& module) const {
  const auto module_rank = static_cast<double>(rank_of(module));
  return value_for(module, alpha_pattern, alpha) / (use_rslora ? std::sqrt(module_rank) : module_rank);
}

std::vector<TargetHits> add_lora(CausalLm& model, const LoraShape& shape, std::uint64_t seed) {
  std::vector<TargetHits> hits;
  for (const auto& target : shape.targets) hits.push_back({target, 0});
  model.for_each_linear([&](Linear& linear) {
    bool chosen = false;
    for (auto& [target, modules] : hits)
      if (is_target(linear.name, target)) {
        ++modules;
        chosen = true;
      }
    if (!chosen) return;
    if (shape.use_dora && linear.share_of_tokens < 1)
      fail(ExitCode::kUsage, "DoRA of experts is not supported", "--use_dora",
           "leave the flag out, or name only attention's modules in --lora_target_modules");
    const std::string prefix = "base_model.model." + linear.name;
    const auto key = mix(mix(seed, hash_name("lora_A")), hash_name(linear.name));
    const auto rank = shape.rank_of(linear.name);
    const auto floats = at::TensorOptions(model.device).dtype(at::kFloat);
    linear.lora = std::make_unique<Lora>(
        Lora{Parameter(prefix + ".lora_A.weight", initial_a(rank, linear.in_features(), key).to(model.device),
                       model.precision.compute),
             Parameter(prefix + ".lora_B.weight", at::zeros({linear.out_features(), rank}, floats),
                       model.precision.compute),
             shape.scale_of(linear.name), shape.dropout, hash_name(linear.name)});
    if (shape.use_dora)
      linear.lora->magnitude_O = Parameter(prefix + ".lora_magnitude_vector",
                                           at::zeros({linear.out_features()}, floats), at::kFloat);
  });
  std::vector<Problem> problems;
  for (const auto& [target, modules] : hits)
    if (modules == 0 && !shape.allow_missing_targets)
      problems.push_back({"\"" + target + "\" hits no linear layer of this model", "--lora_target_modules",
                          "take names of " + closest_modules(model) + ", or give --allow_missing_targets"});
  if (std::all_of(hits.begin(), hits.end(), [](const auto& hit) { return hit.modules == 0; }) &&
      problems.empty())
    problems.push_back({"no target hits a linear layer of this model", "--lora_target_modules",
                        "take names of " + closest_modules(model)});
  if (!problems.empty()) throw UserError(ExitCode::kUsage, problems);
  return hits;
}

void start_magnitudes(CausalLm& model) {
  for (std::size_t index = 0; index < model.layers.size(); ++index) {
    auto& layer = model.layers[index];
    bool has_magnitudes = false;
    layer.for_each_linear([&](const Linear& linear) { has_magnitudes |= linear.has_magnitude(); });
    if (!has_magnitudes) continue;
    const Gathered weights(model.layer_unit(static_cast<std::int64_t>(index)));
    layer.for_each_linear([](Linear& linear) {
      if (!linear.has_magnitude()) return;
      auto& magnitude = *linear.lora->magnitude_O;
      const auto first = magnitude.first_element;
      magnitude.value.copy_(linear.row_norms().slice(0, first, first + magnitude.value.numel()));
      magnitude.refresh_compute();
    });
  }
}

at::Tensor merged_weight(const std::string& module, const at::Tensor& weight_OI, const WeightUpdate& update) {
  auto merged_OI = at::mm(update.b_OR.to(at::kFloat), update.a_RI.to(at::kFloat)).mul_(update.scale);
  merged_OI.add_(weight_OI);
  if (!update.magnitude_O.defined()) return merged_OI;
  const auto norms_O = at::linalg_vector_norm(merged_OI, 2, at::IntArrayRef{1});
  require_directions(norms_O, at::zeros_like(norms_O), module);
  return merged_OI.mul_((update.magnitude_O / norms_O).unsqueeze(1));
}

void merge_lora(CausalLm& model) {
  model.for_each_linear([](Linear& linear) {
    if (!linear.lora) return;
    const auto& lora = *linear.lora;
    const auto merged_OI = merged_weight(linear.name, linear.weight_OI,
                                         {lora.a_RI.value, lora.b_OR.value, lora.scale,
                                          lora.magnitude_O ? lora.magnitude_O->value : at::Tensor()});
    linear.weight_OI = merged_OI.to(linear.weight_OI.scalar_type());
    linear.lora.reset();
  });
}

}  // namespace anneal
