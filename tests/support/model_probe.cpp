// What the parity tests compare with transformers and PEFT: logits, loss, gradients and dropout masks of
// given tokens.
//
//   model_probe REQUEST.json          model_probe eval REQUEST.json: see eval_probe.h
//
// {"model": folder, "adapter": folder or null, "full_ft": bool, "compute_dtype": "fp32" | "bf16",
//  "samples": [{"ids": [...], "prompt_length": n}], "gradients": bool, "masks": bool, "lora_dropout": p,
//  "seed": n, "step": n, "micro_batch_tokens": n, "kept_layers": n, "output": "file.safetensors"}
//
// Writes "ids" and "logits" (float32, a row a token, samples end to end), "loss" (mean over trained tokens),
// with gradients "grad.<parameter>" and with masks "mask.<module>" (uint8, tokens x inputs).
#include <ATen/ops/scalar_tensor.h>
#include <c10/core/InferenceMode.h>
#include <numeric>

#include <cstdio>

#include "base/json.h"
#include "checkpoint/peft_adapter.h"
#include "checkpoint/tensor_file.h"
#include "models/language_head.h"
#include "nn/dropout.h"
#include "tests/support/eval_probe.h"
#include "train/step.h"

namespace anneal {
namespace {

struct Outputs {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  void add(std::string name, const at::Tensor& tensor) {
    tensors.emplace_back(std::move(name), tensor.contiguous());
  }
  void write(const std::string& path) const {
    std::vector<NamedTensor> views;
    for (const auto& [name, tensor] : tensors) views.push_back(view_of(name, tensor));
    write_safetensors(path, views);
  }
};

void add_masks(CausalLm& model, const TokenBatch& batch, const Json& request, Outputs& outputs) {
  std::vector<std::size_t> ordinals(batch.samples());
  std::iota(ordinals.begin(), ordinals.end(), 0);
  const auto keys = dropout_row_keys(batch, request.at("seed"), request.at("step"), ordinals);
  model.for_each_linear([&](const Linear& linear) {
    if (!linear.lora) return;
    const auto mask =
        plain::dropout_mask(linear.in_features(), {keys, linear.lora->module_key}, linear.lora->dropout);
    outputs.add("mask." + linear.name, mask.to(at::kByte));
  });
}

void run(const Json& request) {
  const c10::InferenceMode no_autograd;
  ModelOptions options;
  options.compute_dtype = request.at("compute_dtype");
  CausalLm model(request.at("model").get<std::string>(), resolve_precision(options));
  if (request.value("full_ft", false)) model.train_all_weights();
  if (request.contains("adapter") && !request["adapter"].is_null()) {
    const std::string adapter = request["adapter"];
    auto shape = read_peft_config(adapter);
    shape.dropout = request.value("lora_dropout", 0.0);
    load_peft_adapter(model, shape, adapter);
  }
  std::vector<std::vector<std::int32_t>> ids;
  std::vector<SampleView> samples;
  for (const auto& sample : request.at("samples")) ids.push_back(sample.at("ids"));
  for (std::size_t index = 0; index < ids.size(); ++index)
    samples.push_back({ids[index], request["samples"][index].at("prompt_length")});

  const auto batch = make_token_batch(samples, at::kCPU);
  Outputs outputs;
  outputs.add("ids", batch.ids_N);
  outputs.add("logits", all_logits(model, batch));
  if (request.value("masks", false)) add_masks(model, batch, request, outputs);
  if (request.value("gradients", false)) {
    const StepPlan plan{request.at("micro_batch_tokens"), request.at("kept_layers")};
    ProcessGroup alone;
    const auto loss = forward_backward(model, samples, plan, request.at("seed"), request.at("step"), alone);
    outputs.add("loss", at::scalar_tensor(loss.mean(), at::kFloat).view({1}));
    for (const auto* parameter : model.parameters())
      outputs.add("grad." + parameter->name, parameter->gradient);
  }
  outputs.write(request.at("output"));
}

}  // namespace
}  // namespace anneal

int main(int count, char** values) {
  const bool is_eval = count == 3 && std::string_view(values[1]) == "eval";
  if (count != 2 && !is_eval) {
    std::fprintf(stderr, "usage: model_probe [eval] REQUEST.json\n");
    return 2;
  }
  try {
    const auto request = anneal::read_json_file(values[count - 1], anneal::ExitCode::kUsage);
    is_eval ? anneal::run_eval_probe(request) : anneal::run(request);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "model_probe: %s\n", error.what());
    return 1;
  }
}
