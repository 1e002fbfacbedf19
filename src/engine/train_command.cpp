#include "engine/train_command.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <thread>

#include "base/activity.h"
#include "base/file.h"
#include "base/options.h"
#include "checkpoint/checkpoint_folder.h"
#include "checkpoint/model_folder.h"
#include "checkpoint/peft_adapter.h"
#include "checkpoint/staged_folder.h"
#include "device/cuda_object.h"
#include "device/device.h"
#include "device/tensor_memory.h"
#include "engine/dry_run.h"
#include "engine/meet_ranks.h"
#include "engine/memory_check.h"
#include "engine/model_samples.h"
#include "engine/resume.h"
#include "engine/selftest_stamp.h"
#include "engine/train_world.h"
#include "engine/trained_model.h"
#include "engine/training_samples.h"
#include "engine/weight_notes.h"
#include "launch/environment.h"
#include "plan/step_plan.h"
#include "train/metric_reporters.h"
#include "train/resources.h"
#include "train/trainer.h"

namespace anneal {
namespace {

// --resume with an adapter that has no state beside it, another program's: as --init_adapter.
void take_weights_alone(TrainRequest& request, RunLog& log) {
  const std::filesystem::path named = request.run.resume;
  if (named == "auto" || named == "none" || request.lora.full_ft || holds_run_state(named) ||
      !holds_adapter(named))
    return;
  log.say("notice: " + named.string() +
          " holds no optimizer state: its weights are taken, step and optimizer start anew");
  request.lora.init_adapter = named.string();
  request.run.resume = "auto";
}

std::int64_t trained_count(const TrainableModel& model) {
  std::int64_t trained = 0;
  for (const auto* parameter : model.parameters()) trained += parameter->numel();
  return trained;
}

void say_trained_share(const TrainableModel& model, RunLog& log) {
  const auto trained = trained_count(model);
  const auto total = model.num_parameters() + (model.trains_all_weights() ? 0 : trained);
  log.say(fmt::format("trained parameters: {} / {} ({:.3f}%)", trained, total, 100.0 * trained / total));
}

// Samples of one step, of all ranks together.
std::int64_t pool_size(const TrainRequest& request, int ranks) {
  return request.train.per_device_train_batch_size * request.train.gradient_accumulation_steps * ranks;
}

std::int64_t total_steps(const TrainRequest& request, const ExampleSet& training, int ranks) {
  const auto epochs = request.train.epochs();
  if (!epochs) return request.train.max_steps;
  const auto pool = pool_size(request, ranks);
  const auto per_epoch = SampleOrder(request.train.seed, training.size()).steps_per_epoch(pool);
  return static_cast<std::int64_t>(std::ceil(*epochs * static_cast<double>(per_epoch)));
}

// Resolved once for a run, and kept when it is resumed; what a flag says now counts all the same.
StepPlan plan_step(const TrainableModel& model, const TrainRequest& request, const RunStart& start,
                   const TrainingSamples& samples, World& world, RunLog& log) {
  auto& group = world.group();
  const auto pool = request.train.per_device_train_batch_size * request.train.gradient_accumulation_steps;
  const auto longest = samples.longest();
  const auto& before = start.record.plan;
  const bool is_kept = start.continues && before.micro_batch_tokens > 0 &&
                       request.train.gradient_checkpointing == "auto" && !request.train.token_budget();
  const auto device = model.device();
  if (device.is_cpu()) give_back_tensor_memory();  // of loading
  const auto free = device.is_cpu() ? available_memory_of_rank(world) : free_bytes(device);
  const PlanRequest wanted{request.train.token_budget(), request.train.gradient_checkpointing,
                           std::min(pool * longest, samples.training.tokens()), longest};
  auto plan = is_kept ? StepPlan{before.micro_batch_tokens, before.kept_layers}
                      : model.make_plan(wanted, group.size(), free);
  // The root's, on every rank: they count their micro-batches by it.
  const Json said =
      Json::parse(group.broadcast_text(Json({plan.micro_batch_tokens, plan.kept_layers}).dump()));
  plan = {said[0], said[1]};
  log.say(fmt::format("micro-batches of at most {} tokens; {} of {} layers keep their activations",
                      plan.micro_batch_tokens, plan.kept_layers, model.num_hidden_layers()));
  if (const auto memory = model.step_memory(busiest(plan, wanted), group.size()))
    require_memory_of_step(request, *memory, free, group.size(), log);
  return plan;
}

// The thread count is part of the plan too, unless the environment sets it.
ExecutionPlan execution_plan(const TrainableModel& model, const RunStart& start, const StepPlan& step,
                             int ranks, RunLog& log) {
  const auto& before = start.record.plan;
  if (start.state && before.threads > 0 && std::getenv("OMP_NUM_THREADS") == nullptr &&
      before.threads <= static_cast<std::int64_t>(std::thread::hardware_concurrency()))
    at::set_num_threads(static_cast<int>(before.threads));
  const ExecutionPlan now{step.micro_batch_tokens, step.kept_layers,
                          at::get_num_threads(),   ranks,
                          model.kernels(),         model.is_shared() ? "full" : "none"};
  const auto text = [](const ExecutionPlan& plan) {
    return fmt::format(
        "micro_batch_tokens {}, kept layers {}, threads {}, processes {}, sharding {}, kernels {}",
        plan.micro_batch_tokens, plan.kept_layers, plan.threads, plan.ranks, plan.sharding, plan.kernels);
  };
  if (start.state && now != before)
    log.say("notice: before: " + text(before) + "; now: " + text(now) +
            ": the results agree up to rounding, not bit by bit");
  if (start.state && now.ranks != before.ranks)
    log.say(fmt::format("notice: a step's samples are those of {} processes now, of {} before", now.ranks,
                        before.ranks));
  return now;
}

// Each rank writes its part of the tensors, the root all else.
SaveFormats save_formats(const TrainRequest& request, std::optional<LoraShape> shape, bool is_root,
                         const RunLog& log) {
  const auto base = request.model.folder();
  if (shape) {
    const auto write_state = [=, &request, &log](const RunState& state, const std::filesystem::path& to) {
      write_progress(state, to);
      if (!is_root) return;
      log.sync();
      write_peft_adapter(state.weights.values, *shape, request.model.hf_model_id, to,
                         request.model.revision_of_id());
      write_origin(state, to);
    };
    const auto write_checkpoint = [=](const RunState& state, const std::filesystem::path& to) {
      write_state(state, to);
      if (is_root) copy_tokenizer_files(base, to);
    };
    std::set<std::string> alone = {"manifest.json"};
    for (const auto& file : tokenizer_files(base)) alone.insert(file.begin()->string());
    return {write_checkpoint, write_state,
            [alone](const std::string& name) { return alone.count(name) == 0; }};
  }
  const auto write_checkpoint = [=](const RunState& state, const std::filesystem::path& to) {
    write_model_folder(state.weights, base, to);
    if (!is_root) return;
    write_origin(state, to);
    copy_tokenizer_files(base, to);
  };
  const auto write_state = [is_root, &log](const RunState& state, const std::filesystem::path& to) {
    write_master_weights(state, to);
    write_progress(state, to);
    if (!is_root) return;
    log.sync();
    write_origin(state, to);
  };
  return {write_checkpoint, write_state, nullptr};
}

// What the states and checkpoints that stay take together, one more being written.
void require_space_for_states(const TrainableModel& model, const TrainRequest& request,
                              const RunDirectory& directory, RunLog& log) {
  const auto trained = trained_count(model);
  const auto state = trained * 3 * 4;  // float32: weights and two moments
  const auto checkpoint = request.lora.full_ft ? trained * 4 : state;
  const auto wanted = state * (kStatesKept + 1) + checkpoint * (request.run.save_total_limit + 1);
  try {
    require_free_space(directory.path(), wanted, "--results_dir");
  } catch (const UserError& error) {
    if (!request.run.force) throw;
    log.say(std::string("warning: ") + error.what());
  }
}

// A run that is done has nothing more to say to TensorBoard; one whose log was cut off at its end does.
void open_log(RunLog& log, const TrainRequest& request, const RunStart& start, bool is_done,
              const std::filesystem::path& run) {
  RunLogFiles files{run};
  if (!is_done && request.run.reporters().count("tensorboard") != 0)
    files.tensorboard = request.run.logging_dir
                            ? std::filesystem::path(*request.run.logging_dir) / run.filename()
                            : run / "logs";
  if (start.state)
    files.history = start.state->trainer_state.value("log_history", Json::array());
  else if (start.continues)
    files.history = Json::array();
  log.open(files);
  if (start.state) return;
  log.text("args", "```json\n" + start.record.options.dump(2) + "\n```");
  log.text("model_config",
           "```json\n" + read_file(request.model.folder() / "config.json", ExitCode::kModel) + "\n```");
}

void say_what_is_trained(const TrainRequest& request, const RunDirectory& directory, c10::Device device,
                         const std::string& notice, bool is_shared, int ranks, RunLog& log) {
  log.say("run: " + directory.path().string());
  if (ranks > 1) log.say(fmt::format("{} processes, sharding {}", ranks, is_shared ? "full" : "none"));
  for (const auto& line : device_notes(request.model.device, device)) log.say(line);
  if (!notice.empty()) log.say(notice);
  if (request.train.remove_unused_columns) log.say("notice: --remove_unused_columns has no effect");
  if (request.train.use_liger_kernel) log.say("notice: --use_liger_kernel has no effect");
}

}  // namespace

int run_train(TrainRequest& request, const std::set<std::string>& given) {
  resolve(request.dataset, given);
  const auto folder = request.model.folder();
  const bool is_native = request.train.engine == "native";
  std::optional<ModelConfig> config;
  if (is_native) config = read_model_config(folder);
  const auto limits = config ? limits_of(*config) : read_model_limits(folder);
  const auto notice =
      fit_length(request.example.max_seq_length, given.count("max_seq_length") != 0, limits.longest);
  const auto tokenizer = Tokenizer::load(folder);
  require_ids_within(tokenizer, limits.vocab_size);
  const auto device = resolve_device(request.model.device);
  const auto world = meet_other_ranks(request, folder);
  auto& group = world->group();
  const bool is_shared = config && decide_sharding(request, *config, device, *world);
  RunLog log(group.is_root());
  if (config) require_memory_of_states(request, *config, device, is_shared, *world, log);
  log.progress("loading " + folder.string());
  std::optional<CausalLm> native;
  if (is_native)
    native.emplace(folder, resolve_precision(request.model, device), device,
                   is_shared ? Loading::kToBeShared : Loading::kWhole);

  if (request.run.events_fd) log.report_to(*request.run.events_fd);
  take_weights_alone(request, log);
  RunDirectory directory(request.run.results_dir,
                         request.run.run_name.value_or(default_run_name(request.model.hf_model_id)),
                         request.run.new_run, world->saving_group(), current_launch_id());
  if (request.run.dry_run) directory.only_look();
  say_what_is_trained(request, directory, device, notice, is_shared, group.size(), log);
  if (native)
    for (const auto& note : weight_notes(*native)) log.say(note);
  if (!device.is_cpu()) {
    const auto say = [&](const std::string& line) { log.say(line); };
    group.on_all([&] {
      if (native && world->local_rank() == 0) require_selftest(device, say);
    });
    world->join_gpus(cuda_object().table->make_nccl_backend,
                     std::chrono::seconds(request.dist.collective_timeout));
  }
  auto start = start_run(request, directory, current_launch_id(), log, group);
  const auto shape = adapter_shape(request, start, config ? &*config : nullptr);
  const auto trained = native
                           ? set_up_native(*native, shape, request, start, is_shared ? &group : nullptr, log)
                           : set_up_transformers(device, shape, request, start, log);
  auto& model = *trained;
  say_trained_share(model, log);
  group.on_root([&] { require_space_for_states(model, request, directory, log); });
  enter_phase("preparing data");
  const auto data = prepared_data(request, group, log);
  const bool same_data = require_same_data(start, data.data_sha256, directory, log);
  const auto samples = load_samples(request, data, tokenizer, log);
  const auto plan = plan_step(model, request, start, samples, *world, log);
  const auto steps = total_steps(request, samples.training, group.size());
  if (request.run.dry_run) {
    say_dry_run({model, plan, group.size(), samples.longest(), pool_size(request, group.size()), steps},
                start, log);
    world->leave();
    return static_cast<int>(ExitCode::kOk);
  }

  auto& record = start.record;
  record.options = OptionTable(request).to_json();
  record.data_folder = std::filesystem::absolute(data.folder).string();
  record.data_sha256 = data.data_sha256;
  record.plan = execution_plan(model, start, plan, group.size(), log);
  const auto run_record = [&](const StepPlan& now) {
    record.plan.micro_batch_tokens = now.micro_batch_tokens;
    record.plan.kept_layers = now.kept_layers;
    return run_record_text(record);
  };
  group.on_root([&] {
    write_file_atomically(directory.path() / kRunRecord, run_record(plan));
    write_sample_statistics(samples, directory.path());
  });

  std::optional<MetricReporters> reporters;  // ends last: it sends what was logged
  Saver saver(directory, save_formats(request, shape, group.is_root(), log), request.run.save_total_limit,
              world->saving_group());
  Trainer trainer({model, group, samples.training, samples.validation, request.train, steps,
                   request.run.save_steps, plan, directory.path(), run_record, [&] { reporters->poll(); }},
                  saver, log);
  if (start.state) {
    trainer.resume(*start.state, start.state_folder);
    if (!same_data) trainer.restart_data();
    directory.set_best(trainer.best_step());
    directory.rotate(start.state->step, request.run.save_total_limit);  // a kill may have come before it
    log.say(fmt::format("resuming from {}", start.state_folder.string()));
  }
  const bool is_done = trainer.is_done() && std::filesystem::exists(directory.path() / kAllResults);
  open_log(log, request, start, is_done, directory.path());
  reporters.emplace(group.is_root() ? request.run.reporters() : std::set<std::string>(), directory.path(),
                    [&](const std::string& line) { log.say(line); });
  const auto code = trainer.run();
  world->leave();
  return static_cast<int>(code);
}

}  // namespace anneal
