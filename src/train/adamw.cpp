#include "train/adamw.h"

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "nn/plain_forms.h"

namespace anneal {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
constexpr std::int64_t kBucketBytes = 64 << 20;  // of gradients that travel together
constexpr double kClipEpsilon = 1e-6;            // torch.nn.utils.clip_grad_norm_

// Waits for the device once for all. Of the meta device, which has no values: NaN.
std::vector<double> on_host(const std::vector<at::Tensor>& scalars) {
  std::vector<double> values(scalars.size(), NAN);
  if (scalars.empty() || scalars.front().is_meta()) return values;
  const auto stacked = at::stack(scalars).cpu();
  std::copy_n(stacked.const_data_ptr<double>(), values.size(), values.begin());
  return values;
}

}  // namespace

bool is_decayed(const std::string& parameter_name) {
  std::string name = parameter_name;
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto has = [&](const char* part) { return ("." + name + ".").find(part) != std::string::npos; };
  return !(has("bias") || has("layernorm") || has("rmsnorm") || has(".norm.") || has("_norm."));
}

double clip_gradients(const std::vector<Parameter*>& parameters, double max_norm, ProcessGroup& group) {
  std::vector<at::Tensor> norms;
  for (const auto* parameter : parameters)
    norms.push_back(at::linalg_vector_norm(parameter->value_gradient, 2, {}, false, at::kDouble));
  const auto values = on_host(norms);
  double squares = 0, shared_squares = 0;
  for (std::size_t at = 0; at < parameters.size(); ++at)
    (parameters[at]->is_shared ? shared_squares : squares) += values[at] * values[at];
  const double norm = std::sqrt(squares + group.sum(shared_squares));
  const double scale = max_norm / (norm + kClipEpsilon);
  if (max_norm > 0 && std::isfinite(norm) && scale < 1)
    for (auto* parameter : parameters) parameter->value_gradient.mul_(scale);
  return norm;
}

void reduce_gradients(const std::vector<Parameter*>& parameters, ProcessGroup& group) {
  if (group.size() == 1) return;
  for (std::size_t begin = 0, end = 0; begin < parameters.size(); begin = end) {
    std::vector<at::Tensor> bucket;
    for (std::int64_t bytes = 0; end < parameters.size() && bytes < kBucketBytes; ++end) {
      bucket.push_back(parameters[end]->value_gradient.view({-1}));
      bytes += static_cast<std::int64_t>(bucket.back().nbytes());
    }
    auto flat = at::cat(bucket);
    group.all_reduce_sum(flat);
    std::int64_t offset = 0;
    for (auto& gradient : bucket) {
      gradient.copy_(flat.slice(0, offset, offset + gradient.numel()));
      offset += gradient.numel();
    }
  }
}

void zero_gradients(const std::vector<Parameter*>& parameters) {
  for (auto* parameter : parameters) parameter->value_gradient.zero_();
}

void plain::adamw(at::Tensor& value, const at::Tensor& gradient, at::Tensor& first_moment,
                  at::Tensor& second_moment, const AdamWUpdate& update) {
  const auto count = static_cast<double>(update.count);
  value.mul_(1 - update.learning_rate * update.weight_decay);
  first_moment.lerp_(gradient, 1 - kBeta1);
  second_moment.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
  const auto denominator = second_moment.sqrt().div_(std::sqrt(1 - std::pow(kBeta2, count))).add_(kEpsilon);
  value.addcdiv_(first_moment, denominator, -update.learning_rate / (1 - std::pow(kBeta1, count)));
}

AdamW::AdamW(std::vector<Parameter*> parameters, double weight_decay) : parameters_(std::move(parameters)) {
  groups_ = {Group{.weight_decay = weight_decay}, Group{.weight_decay = 0}};
  for (auto* parameter : parameters_) {
    auto& group = groups_[is_decayed(parameter->name) ? 0 : 1];
    group.values.push_back(parameter->value);
    group.gradients.push_back(parameter->value_gradient);
    group.first_moments.push_back(first_moments_.emplace_back(at::zeros_like(parameter->value)));
    group.second_moments.push_back(second_moments_.emplace_back(at::zeros_like(parameter->value)));
  }
}

void AdamW::step(double learning_rate) {
  ++updates_;
  for (auto& group : groups_) {
    if (group.values.empty()) continue;
    const auto& first = group.values.front();
    if (!first.is_cuda() && !runs_kernel(Kernel::kOptimizer, first)) {
      for (std::size_t at = 0; at < group.values.size(); ++at)
        plain::adamw(group.values[at], group.gradients[at], group.first_moments[at], group.second_moments[at],
                     {learning_rate, group.weight_decay, updates_});
      continue;
    }
    const std::vector<at::Tensor> counts(
        group.values.size(), at::full({}, static_cast<double>(updates_), first.options().dtype(at::kFloat)));
    at::_fused_adamw_(group.values, group.gradients, group.first_moments, group.second_moments, {}, counts,
                      learning_rate, kBeta1, kBeta2, group.weight_decay, kEpsilon,
                      /*amsgrad=*/false,
                      /*maximize=*/false);
  }
  for (auto* parameter : parameters_) parameter->refresh_compute();
}

}  // namespace anneal
