#include "commands/plan_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/byte_size.h"
#include "base/console.h"
#include "base/machine.h"
#include "commands/plan_text.h"
#include "hub/model.h"

namespace anneal {
namespace {

constexpr std::int64_t kUsualHead = 128;  // elements

// As config.json would say it.
Json config_of(const ShapeOptions& shape) {
  const auto hidden = *shape.hidden_size;
  const auto heads = shape.num_attention_heads.value_or(std::max<std::int64_t>(1, hidden / kUsualHead));
  return {{"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", hidden},
          {"intermediate_size", shape.intermediate_size.value_or(hidden * 8 / 3)},
          {"num_hidden_layers", shape.num_hidden_layers.value_or(32)},
          {"num_attention_heads", heads},
          {"num_key_value_heads", shape.num_key_value_heads.value_or(heads)},
          {"head_dim", shape.head_dim.value_or(hidden / heads)},
          {"vocab_size", shape.vocab_size.value_or(32'000)},
          {"max_position_embeddings", 1 << 17},
          {"tie_word_embeddings", shape.tie_word_embeddings},
          {"torch_dtype", "bfloat16"}};
}

ModelConfig config_of(const PlanOptions& options) {
  if (options.shape.hidden_size)
    return read_model_config(config_of(options.shape), "--hidden_size and its like");
  const auto& model = options.train.model;
  Console aside(stderr);
  return read_model_config(fetch_model({model.hf_model_id, model.hf_model_revision}, ModelPart::kConfig,
                                       options.train.dataset.offline,
                                       [&](const std::string& line) { aside.say(line); }));
}

bool is_of_processor(const PlanOptions& options) {
  return options.hardware == "cpu" || (options.hardware == "auto" && options.train.model.device == "cpu");
}

std::int64_t compute_bytes_of(const PlanOptions& options) {
  const auto& wanted = options.train.model.compute_dtype;
  if (wanted != "auto") return wanted == "bf16" ? 2 : 4;
  return is_of_processor(options) && !processor_has("avx512_bf16") ? 4 : 2;
}

Training training_of(PlanOptions& options, const std::set<std::string>& given,
                     std::vector<std::string>& notes) {
  auto& train = options.train;
  const auto config = config_of(options);
  const auto notice =
      fit_length(train.example.max_seq_length, given.count("max_seq_length") != 0, config.rope.longest());
  if (!notice.empty()) notes.push_back(notice);
  Training training{
      .shape = shape_of(config),
      .compute_bytes = compute_bytes_of(options),
      .base_bytes = base_bytes(config, train.model.base_dtype),
      .stores_as_held = train.model.base_dtype == "auto" && config.dtype != "float16",
      .sample_tokens = train.example.max_seq_length,
      .samples_of_step = train.train.per_device_train_batch_size * train.train.gradient_accumulation_steps,
      .micro_batch_tokens = train.train.token_budget(),
      .gradient_checkpointing = train.train.gradient_checkpointing,
      .sharding = train.train.sharding,
      .steps = static_cast<double>(train.train.max_steps),
      .save_steps = static_cast<double>(train.run.save_steps)};
  if (train.lora.full_ft)
    training.shape.trains_all = true;
  else
    add_adapters(training.shape, {train.lora.targets(), train.lora.lora_rank, train.lora.lora_dropout,
                                  train.lora.use_dora, train.lora.allow_missing_targets});
  if (train.train.epochs())
    notes.push_back("the number of samples is not known here: the time is that of --max_steps");
  return training;
}

Hardware adjusted(Hardware hardware, const PlanOptions& options) {
  if (options.peak_tflops > 0) hardware.peak_flops = options.peak_tflops * 1e12;
  if (options.device_memory) hardware.memory_bytes = *parse_byte_size(*options.device_memory);
  return hardware;
}

std::vector<Hardware> gpus_of(const PlanOptions& options) {
  std::vector<Hardware> gpus;
  for (const auto& gpu : known_gpus())
    if (options.hardware == "auto" || options.hardware == gpu.name) gpus.push_back(adjusted(gpu, options));
  return gpus;
}

// The set-up that was asked for, or the smallest one: with the least memory in all.
Sizing chosen(const PlanOptions& options, const Training& training, const std::vector<Sizing>& smallest) {
  const auto workers = options.train.launch.world_size();
  const bool is_counted = options.devices || workers > 1;
  const auto devices = static_cast<int>(options.devices.value_or(workers));
  const auto size = [&](const Hardware& hardware, int count) {
    return size_training(training, hardware, count, options.utilisation);
  };
  if (is_of_processor(options))
    return size(adjusted(this_processor(training.compute_bytes), options), devices);
  const auto gpus = gpus_of(options);
  if (is_counted) {
    for (const auto& gpu : gpus)
      if (auto sizing = size(gpu, devices); sizing.fit == Fit::kFits || gpu.name == gpus.back().name)
        return sizing;
  }
  const auto in_all = [](const Sizing& sizing) { return sizing.hardware.memory_bytes * sizing.devices; };
  const auto least = std::min_element(smallest.begin(), smallest.end(),
                                      [&](const auto& a, const auto& b) { return in_all(a) < in_all(b); });
  return least != smallest.end() ? *least : size(gpus.back(), 64);
}

std::string advice(const PlanOptions& options, const Sizing& sizing) {
  const auto& memory = sizing.memory;
  const auto available =
      sizing.hardware.is_gpu ? sizing.hardware.memory_bytes : sizing.hardware.memory_bytes / sizing.devices;
  const bool of_states = fit_of(memory.states() + memory.runtime, available) != Fit::kFits;
  return "try " +
         memory_advice(options.train.lora.full_ft, of_states, sizing.plan.kept_layers == 0, sizing.devices);
}

}  // namespace

void PlanOptions::complete(const std::set<std::string>& given, std::vector<Problem>& problems) {
  if (shape.hidden_size && given.count("hf_model_id") == 0) train.model.hf_model_id = ".";
  train.complete(given, problems);
  if (device_memory && !parse_byte_size(*device_memory))
    problems.push_back({"\"" + *device_memory + "\" is no size", "--device_memory", "give one such as 24GB"});
  if (shape.hidden_size && given.count("hf_model_id") != 0)
    problems.push_back({"--hf_model_id names a model already", "--hidden_size", "give one of the two"});
  if (!shape.hidden_size)
    for (const char* flag : {"intermediate_size", "num_hidden_layers", "num_attention_heads",
                             "num_key_value_heads", "head_dim", "vocab_size", "tie_word_embeddings"})
      if (given.count(flag) != 0)
        problems.push_back({"is of a model that is given by its sizes", std::string("--") + flag,
                            "give --hidden_size too, or leave it out"});
}

int run_plan(PlanOptions& options, const std::set<std::string>& given) {
  Planned planned{.utilisation = options.utilisation};
  planned.training = training_of(options, given, planned.notes);
  planned.model = options.shape.hidden_size ? "a Llama of the sizes given" : options.train.model.hf_model_id;
  for (const auto& gpu : gpus_of(options))
    if (const auto sizing = smallest_fit(planned.training, gpu, options.utilisation))
      planned.smallest.push_back(*sizing);
  planned.sizing = chosen(options, planned.training, planned.smallest);
  if (planned.sizing.fit != Fit::kFits) planned.notes.push_back(advice(options, planned.sizing));
  planned.notes.emplace_back(planned.sizing.hardware.is_gpu
                                 ? "figures of GPUs are reckoned, not measured"
                                 : "the processor's peak is a guess from its threads; --peak_tflops sets it");
  const auto text = options.json ? plan_json(planned).dump(2) + "\n" : plan_text(planned);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace anneal
