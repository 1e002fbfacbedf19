#include "train/transformers_model.h"

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/activity.h"
#include "base/byte_size.h"
#include "base/python_script.h"
#include "base/random.h"
#include "device/device.h"
#include "models/sample_shares.h"
#include "train/adamw.h"

namespace anneal {
namespace {

constexpr const char* kPackages = "torch, transformers and peft";

std::string dtype_text(at::ScalarType type) { return type == at::kBFloat16 ? "bf16" : "fp32"; }

Json request_of(const TransformersStart& start, const std::string& memory) {
  Json request = {{"model", start.folder.string()},
                  {"base_dtype", nullptr},
                  {"compute_dtype", dtype_text(start.precision.compute)},
                  {"device", start.device.str()},
                  {"threads", at::get_num_threads()},
                  {"seed", start.seed},
                  {"adapter", start.adapter.string()},
                  {"memory", memory},
                  {"lora", nullptr}};
  if (start.precision.base) request["base_dtype"] = dtype_text(*start.precision.base);
  if (const auto& lora = start.lora)
    request["lora"] = {{"rank", lora->rank},
                       {"alpha", lora->alpha},
                       {"dropout", lora->dropout},
                       {"targets", lora->targets},
                       {"allow_missing_targets", lora->allow_missing_targets},
                       {"use_rslora", lora->use_rslora},
                       {"use_dora", lora->use_dora}};
  return request;
}

void refuse(const Json& answer, const std::string& python) {
  if (answer.contains("missing"))
    fail(ExitCode::kResources, answer["missing"].get<std::string>(), python,
         fmt::format("{} -m pip install {}; or name another Python in {}", python, "torch transformers peft",
                     kPythonVariable));
  if (answer.contains("refusal"))
    fail(answer["kind"] == "usage" ? ExitCode::kUsage : ExitCode::kModel,
         answer["refusal"].get<std::string>(), answer["where"].get<std::string>(),
         answer["remedy"].get<std::string>());
}

// Rounded once to this, as the folder has it; float16 has too narrow a range for weights that were trained.
at::ScalarType dtype_of_folder(const std::filesystem::path& folder) {
  const SafetensorsFolder weights(folder);
  const auto stored = tensor_of(weights.tensors().begin()->second).scalar_type();
  return stored == at::kBFloat16 ? stored : at::kFloat;
}

// The sample for the other program: what predicts a trained token are `rows`.
Json json_of(const SampleView& sample) {
  Json rows = Json::array();
  const auto length = static_cast<std::int64_t>(sample.ids.size());
  std::size_t stretch = 0;
  for (auto token = std::max<std::int64_t>(sample.prompt_length, 1); token < length; ++token) {
    while (stretch < sample.untrained.size() && token >= sample.untrained[stretch + 1]) stretch += 2;
    if (stretch >= sample.untrained.size() || token < sample.untrained[stretch]) rows.push_back(token - 1);
  }
  return {{"ids", sample.ids}, {"rows", rows}};
}

double number_of(const Json& value) { return value.is_null() ? NAN : value.get<double>(); }

}  // namespace

TransformersModel::TransformersModel(const TransformersStart& start)
    : process_(python_command("transformers_engine.py", PythonChoice::kOfProgram, kPackages)),
      precision_(start.precision),
      device_(start.device),
      saved_dtype_(start.precision.base.value_or(dtype_of_folder(start.folder))),
      has_adapter_(start.lora.has_value()) {
  const auto python = python_command("transformers_engine.py", PythonChoice::kOfProgram, kPackages).front();
  const auto answer = Json::parse(process_.ask(request_of(start, memory_.path()).dump()));
  refuse(answer, python);
  num_parameters_ = answer["num_parameters"];
  num_hidden_layers_ = answer["num_layers"];
  version_ = answer["version"];
  answer["linear_shapes"].get_to(linear_shapes_);
  for (const auto& [target, modules] : answer["hits"].items())
    hits_.push_back({target, modules.get<std::int64_t>()});

  auto* const values = reinterpret_cast<float*>(memory_.map());
  auto* const gradients = values + answer["gradients_at"].get<std::int64_t>();
  for (const auto& place : answer["parameters"]) {
    const auto shape = place["shape"].get<std::vector<std::int64_t>>();
    const auto first = place["first_element"].get<std::int64_t>();
    parameters_.push_back(std::make_unique<Parameter>(Parameter::of_tensors(
        place["name"], at::from_blob(values + first, shape), at::from_blob(gradients + first, shape))));
    if (has_adapter_) flops_per_token_ += 6.0 * static_cast<double>(parameters_.back()->numel());
  }
  // Twice a weight and token forward, and again for each gradient that is needed.
  const double each = has_adapter_ ? 4 : 6;
  for (const auto& shape : linear_shapes_)
    flops_per_token_ += each * static_cast<double>(shape[0] * shape[1]);
  flops_per_trained_ = each * answer["head_parameters"].get<double>();
}

std::string TransformersModel::kernels() const {
  return fmt::format("transformers {} on {}, {}", version_, device_text(device_),
                     dtype_text(precision_.compute));
}

std::vector<Parameter*> TransformersModel::parameters() const {
  std::vector<Parameter*> all;
  for (const auto& parameter : parameters_) all.push_back(parameter.get());
  return all;
}

Json TransformersModel::ask(const Json& request) {
  auto answer = Json::parse(process_.ask(request.dump()));
  TORCH_CHECK_WITH(OutOfMemoryError, !answer.contains("out_of_memory"),
                   answer.value("out_of_memory", std::string()));
  return answer;
}

double TransformersModel::flops_of(const SampleView& sample) const {
  return static_cast<double>(sample.ids.size()) * flops_per_token_ +
         static_cast<double>(trained_positions(sample)) * flops_per_trained_;
}

StepLoss TransformersModel::forward_backward(const std::vector<SampleView>& pool, const StepPlan& plan,
                                             std::uint64_t seed, std::int64_t dropout_step,
                                             ProcessGroup& group) {
  auto [loss, lengths, costs] = work_of(pool, [&](const SampleView& sample) { return flops_of(sample); });
  if (loss.trained_tokens == 0) return loss;
  enter_phase("forward and backward in transformers");
  const auto shares = share_samples(costs, group.size());
  for (const auto index : shares[group.rank()]) {
    auto request = json_of(pool[index]);
    if (request["rows"].empty()) continue;
    request["wants_gradient"] = true;
    request["recomputes"] = plan.kept_layers == 0;
    request["scale"] = 1 / static_cast<double>(loss.trained_tokens);
    request["seed"] = mix(mix(seed, static_cast<std::uint64_t>(dropout_step)), index) >> 1;
    loss.sum_nll += number_of(ask(request)["nll"]);
  }
  enter_phase("reducing gradients");
  loss.sum_nll = group.sum(loss.sum_nll);
  reduce_gradients(parameters(), group);
  return loss;
}

std::vector<SampleScore> TransformersModel::score_samples(const std::vector<SampleView>& samples,
                                                          std::int64_t, ProcessGroup& group,
                                                          const std::function<void(std::int64_t)>& progress) {
  const auto work = work_of(samples, [&](const SampleView& sample) { return flops_of(sample); });
  const auto shares = share_samples(work.flops, group.size());
  const auto& own = shares[group.rank()];
  std::size_t rounds = 0;
  for (const auto& share : shares) rounds = std::max(rounds, share.size());
  std::vector<SampleScore> scores(samples.size());
  std::int64_t done = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    if (round < own.size()) {
      auto request = json_of(samples[own[round]]);
      request["wants_gradient"] = false;
      const auto tokens = static_cast<std::int64_t>(request["rows"].size());
      if (tokens > 0) {
        const auto answer = ask(request);
        scores[own[round]] = {number_of(answer["nll"]), tokens, answer["exact"]};
      }
    }
    for (const auto& share : shares) done += round < share.size();
    progress(done);
  }
  exchange_scores(scores, own, group);
  return scores;
}

WeightShare TransformersModel::share_of_weights(ProcessGroup& group) const {
  return anneal::share_of_weights(parameters(), !has_adapter_, saved_dtype_, group);
}

StepPlan TransformersModel::make_plan(const PlanRequest& request, int, std::int64_t) const {
  return {request.longest_sample, request.gradient_checkpointing == "on" ? 0 : num_hidden_layers_};
}

double TransformersModel::measured_gemm_flops_per_second() const {
  return anneal::measured_gemm_flops_per_second(linear_shapes_,
                                                at::TensorOptions(device_).dtype(precision_.compute));
}

std::string TransformersModel::memory_use_text(int, const StepPlan& plan, std::int64_t longest) const {
  std::int64_t trained = 0;
  for (const auto& parameter : parameters_) trained += parameter->numel();
  return fmt::format(
      "base weights {} parameters, trained weights with gradients and optimizer {}, activations of {} tokens "
      "in transformers, {}; free {}",
      num_parameters_, byte_size_text(trained * kBytesOfATrainedWeight), longest,
      plan.kept_layers == 0 ? "recomputed" : "kept", byte_size_text(free_bytes(device_)));
}

}  // namespace anneal
