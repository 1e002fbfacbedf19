#include "engine/train_command.h"

#include <fmt/format.h>

#include <cmath>

#include "base/file.h"
#include "base/memory.h"
#include "base/options.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/peft_adapter.h"
#include "data/preflight.h"
#include "data/prepare.h"
#include "data/tokenizer_encoder.h"
#include "engine/model_samples.h"
#include "train/trainer.h"

namespace anneal {
namespace {

struct Samples {
  ExampleSet training, validation;
};

void describe_examples(const ExampleSet& set, const char* name, RunLog& log) {
  std::string notes;
  for (const auto& [reason, rows] : set.counts().dropped)
    notes += fmt::format(", {} dropped ({})", rows, reason);
  if (set.counts().skipped > 0) notes += fmt::format(", {} bad lines skipped", set.counts().skipped);
  if (set.counts().truncated > 0) notes += fmt::format(", {} cut at max_seq_length", set.counts().truncated);
  log.say(fmt::format("{}: {} samples, {} tokens, {} of them trained, longest {}{}", name, set.size(),
                      set.tokens(), set.counts().trained_tokens, set.counts().longest, notes));
}

Samples load_samples(const TrainRequest& request, const PreparedData& data, const TokenizerEncoder& encoder,
                     RunLog& log) {
  ExampleSetOptions options{.threads = request.train.dataloader_num_workers,
                            .skip_bad_rows = request.dataset.skip_bad_rows};
  Samples samples;
  samples.training = load_examples(data.training, encoder, request.example, options);
  describe_examples(samples.training, "training", log);
  options.first_rows = request.train.max_eval_samples;
  options.required = false;
  samples.validation = load_examples(data.validation, encoder, request.example, options);
  if (samples.validation.size() > 0)
    describe_examples(samples.validation, "validation", log);
  else
    log.say("warning: no validation samples; no evaluation, no early stopping, one checkpoint at the end");
  return samples;
}

// Makes the model trainable; returns the shape of the adapter, or nothing for full fine-tuning.
std::optional<LoraShape> set_up_training(CausalLm& model, const TrainRequest& request, RunLog& log) {
  const auto& lora = request.lora;
  std::optional<LoraShape> shape;
  if (lora.full_ft) {
    model.train_all_weights();
  } else if (lora.init_adapter) {
    shape = read_peft_config(*lora.init_adapter);
    shape->dropout = lora.lora_dropout;
    load_peft_adapter(model, *shape, *lora.init_adapter);
    log.say(fmt::format("adapter from {}: rank {}, alpha {}", *lora.init_adapter, shape->rank, shape->alpha));
  } else {
    shape = LoraShape{lora.lora_rank, lora.lora_alpha, lora.lora_dropout, lora.targets(),
                      lora.allow_missing_targets};
    std::string hits;
    for (const auto& [target, modules] : add_lora(model, *shape, request.train.seed))
      hits += fmt::format("{}{} {}", hits.empty() ? "" : ", ", target, modules);
    log.say("LoRA targets and the modules they hit: " + hits);
  }
  std::int64_t trained = 0;
  for (const auto* parameter : model.parameters()) trained += parameter->value.numel();
  const auto total = model.num_parameters() + (lora.full_ft ? 0 : trained);
  log.say(fmt::format("trained parameters: {} / {} ({:.3f}%)", trained, total, 100.0 * trained / total));
  return shape;
}

std::int64_t total_steps(const TrainRequest& request, const ExampleSet& training) {
  const auto epochs = request.train.epochs();
  if (!epochs) return request.train.max_steps;
  const auto pool = request.train.per_device_train_batch_size * request.train.gradient_accumulation_steps;
  const auto per_epoch = SampleOrder(request.train.seed, training.size()).steps_per_epoch(pool);
  return static_cast<std::int64_t>(std::ceil(*epochs * static_cast<double>(per_epoch)));
}

StepPlan plan_step(const CausalLm& model, const TrainRequest& request, const Samples& samples, RunLog& log) {
  const auto pool = request.train.per_device_train_batch_size * request.train.gradient_accumulation_steps;
  const auto longest = std::max(samples.training.counts().longest, samples.validation.counts().longest);
  const auto plan = make_plan(model,
                              {request.train.token_budget(), request.train.gradient_checkpointing,
                               std::min(pool * longest, samples.training.tokens()), longest},
                              available_memory_bytes());
  log.say(fmt::format("micro-batches of at most {} tokens; {} of {} layers keep their activations",
                      plan.micro_batch_tokens, plan.kept_layers, model.config.num_hidden_layers));
  return plan;
}

void write_run_config(TrainRequest& request, const PreparedData& data, const StepPlan& plan,
                      const std::filesystem::path& folder) {
  const Json config = {
      {"version", 1},
      {"base_config_sha256",
       sha256_hex_of_file(std::filesystem::path(request.model.hf_model_id) / "config.json",
                          ExitCode::kModel)},
      {"options", OptionTable(request).to_json()},
      {"data", {{"folder", std::filesystem::absolute(data.folder).string()}, {"sha256", data.data_sha256}}},
      {"plan", {{"micro_batch_tokens", plan.micro_batch_tokens}, {"kept_layers", plan.kept_layers}}}};
  write_file_atomically(folder / "run_config.json", config.dump(2) + "\n");
}

}  // namespace

int run_train(TrainRequest& request, const std::set<std::string>& given) {
  resolve(request.dataset, given);
  const std::filesystem::path folder = request.model.hf_model_id;
  const auto config = read_model_config(folder);
  const auto notice = fit_to_model(request.example, config, given);
  const auto tokenizer = Tokenizer::load(folder);
  require_ids_within(tokenizer, config);
  CausalLm model(folder, resolve_precision(request.model));

  RunDirectory directory(request.run.results_dir,
                         request.run.run_name.value_or(default_run_name(request.model.hf_model_id)),
                         request.run.new_run);
  RunLog log(directory.path() / "log.jsonl");
  log.say("run: " + directory.path().string());
  if (!notice.empty()) log.say(notice);
  if (request.train.remove_unused_columns) log.say("notice: --remove_unused_columns has no effect");
  if (request.train.use_liger_kernel) log.say("notice: --use_liger_kernel has no effect");
  const auto shape = set_up_training(model, request, log);
  const auto data =
      prepare_data(request.dataset, request.train.seed, [&](const std::string& line) { log.say(line); });
  const TokenizerEncoder encoder(tokenizer, request.example);
  const auto samples = load_samples(request, data, encoder, log);
  require_sound_samples(samples.training, request.example, tokenizer.bos_id(), encoder.eos_id(),
                        request.run.force, [&](const std::string& line) { log.say(line); });
  const auto plan = plan_step(model, request, samples, log);
  write_run_config(request, data, plan, directory.path());

  const auto write_checkpoint = [&](const std::filesystem::path& to) {
    if (shape)
      write_peft_adapter(model, *shape, request.model.hf_model_id, to);
    else
      write_model_folder(model, model.precision.base.value_or(model.stored_dtype()), to);
    copy_tokenizer_files(folder, to);
  };
  Trainer trainer(
      {model, samples.training, samples.validation, request.train, total_steps(request, samples.training),
       plan, request.run.save_total_limit, write_checkpoint},
      directory, log);
  trainer.run();
  return 0;
}

}  // namespace anneal
