#include "train/trainer.h"

#include <fmt/format.h>

#include <cmath>

#include "base/activity.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/termination.h"
#include "checkpoint/run_record.h"
#include "device/device.h"
#include "device/tensor_memory.h"
#include "train/sample_views.h"

namespace anneal {
namespace {

constexpr int kSkippedInARow = 3;         // steps without a finite loss that nan_policy skip allows
constexpr int kBadEvaluationsInARow = 3;  // evaluations without a finite loss until the run stops
constexpr double kGigabyte = 1e9;
constexpr double kCopySpare = 1.2;  // of the bytes of a state, to be copied beside the training

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<SampleView> views(const ExampleSet& set, const std::vector<std::int64_t>& indices) {
  std::vector<SampleView> samples;
  for (const auto index : indices) samples.push_back(sample_view(set[index]));
  return samples;
}

struct Interrupted {};  // an evaluation that a signal has cut short

}  // namespace

Trainer::Trainer(TrainerInputs inputs, Saver& saver, RunLog& log)
    : inputs_(std::move(inputs)),
      saver_(saver),
      log_(log),
      parameters_(inputs_.model.parameters()),
      optimizer_(parameters_, inputs_.options.weight_decay),
      schedule_(inputs_.options.lr_scheduler_type, inputs_.options.learning_rate,
                inputs_.options.min_learning_rate, inputs_.options.warmup_ratio, inputs_.total_steps),
      order_(static_cast<std::uint64_t>(inputs_.options.seed), inputs_.training.size()),
      pool_size_(batch_of_all_ranks() * inputs_.options.gradient_accumulation_steps),
      tracker_(inputs_.options.early_stopping_patience, inputs_.options.early_stopping_threshold,
               inputs_.options.early_stopping_reference, {}) {}

void Trainer::resume(const RunState& state, const std::filesystem::path& folder) {
  state_ = loop_state_of(state.loop, (folder / kLoopState).string());
  read_moments(named_values(parameters_, optimizer_.first_moments()),
               named_values(parameters_, optimizer_.second_moments()), folder);
  optimizer_.set_updates(state_.updates);
  tracker_ = BestTracker(inputs_.options.early_stopping_patience, inputs_.options.early_stopping_threshold,
                         inputs_.options.early_stopping_reference, state_.best);
  // Whoever asks for more steps than a run had wants it to go on.
  if (!has_ended()) state_.results = nullptr;
}

bool Trainer::is_asked_to_end() {
  const auto asks_for = [&](ExitCode code) { return inputs_.group.any(requested_exit() == code); };
  if (asked_exit_ == ExitCode::kOk && asks_for(ExitCode::kTerminated)) asked_exit_ = ExitCode::kTerminated;
  if (asked_exit_ == ExitCode::kOk && asks_for(ExitCode::kInterrupted)) asked_exit_ = ExitCode::kInterrupted;
  return asked_exit_ != ExitCode::kOk;
}

ExitCode Trainer::run() {
  if (is_done()) {
    log_.say(fmt::format("the run is done: {} steps, {}", state_.step,
                         state_.results.value("stop_reason", std::string())));
    write_results();
    return ExitCode::kOk;
  }
  finish_on_signals(inputs_.group.is_root());
  start_ = Clock::now();
  seconds_before_ = state_.seconds;
  gemm_rate_ = inputs_.model.measured_gemm_flops_per_second();
  bool goes_on = state_.step == 0 && inputs_.total_steps > 0 ? true : settle_step();
  while (goes_on) {
    train_step();
    goes_on = settle_step();
  }
  return is_done() ? ExitCode::kOk : asked_exit_;
}

template <class Work>
auto Trainer::with_enough_memory(const Work& work) {
  while (true) {
    try {
      return work();
    } catch (const std::exception& error) {
      if (!is_out_of_memory(error)) throw;
      shrink_plan();
      if (inputs_.group.size() > 1) leave_short_of_memory();
    }
  }
}

void Trainer::train_step() {
  const auto start = Clock::now();
  enter_step(state_.step + 1);
  const auto indices = order_.take(state_.position, pool_size_);
  const auto pool = views(inputs_.training, indices);
  const auto loss = with_enough_memory([&] {
    zero_gradients(parameters_);
    return inputs_.model.forward_backward(pool, inputs_.plan, inputs_.options.seed, state_.step,
                                          inputs_.group);
  });
  const double grad_norm = clip_gradients(parameters_, inputs_.options.max_grad_norm, inputs_.group);
  const double learning_rate = schedule_.at(state_.step);
  ++state_.step;
  auto& window = state_.window;
  if (is_finite_or_skipped(loss, grad_norm, indices)) {
    optimizer_.step(learning_rate);
    state_.updates = optimizer_.updates();
    window.sum_of_losses += loss.mean();
    ++window.steps;
    state_.total_loss += loss.mean();
  }
  const double seconds = seconds_since(start);
  window.tokens += loss.tokens;
  window.flops += loss.flops;
  window.seconds += seconds;
  state_.total_tokens += loss.tokens;
  state_.total_samples += static_cast<std::int64_t>(pool.size());
  state_.total_flops += loss.flops;
  step_seconds_ += seconds;
  ++steps_here_;
  if (state_.step == 1 || is_due(inputs_.options.logging_steps))
    log_step(grad_norm, learning_rate);
  else
    show_progress(loss);
}

bool Trainer::is_finite_or_skipped(const StepLoss& loss, double grad_norm,
                                   const std::vector<std::int64_t>& indices) {
  if (std::isfinite(loss.sum_nll) && std::isfinite(grad_norm)) {
    state_.skipped_in_a_row = 0;
    return true;
  }
  Json rows = Json::array();
  for (const auto index : indices) rows.push_back(inputs_.training[index].row);
  const auto path = inputs_.folder / fmt::format("bad_step-{}.json", state_.step);
  const Json report = {{"step", state_.step},
                       {"loss", loss.mean()},
                       {"grad_norm", grad_norm},
                       {"rows_of_training.jsonl", rows}};
  inputs_.group.on_root([&] { write_file_atomically(path, report.dump(2) + "\n"); });
  if (inputs_.options.nan_policy == "stop" || ++state_.skipped_in_a_row > kSkippedInARow) {
    saver_.finish();
    fail(ExitCode::kNumerical,
         fmt::format("the loss or the gradients of step {} are not finite", state_.step), path.string(),
         "lower --learning_rate, look at the rows named there, or give --nan_policy skip");
  }
  log_.say(
      fmt::format("step {}: loss or gradients are not finite; skipped, see {}", state_.step, path.string()));
  return false;
}

double Trainer::epoch() const { return order_.epochs_done(state_.position, batch_of_all_ranks()); }

std::string Trainer::time_left() const {
  const auto steps = static_cast<double>(inputs_.total_steps - state_.step);
  return duration_text(step_seconds_ / static_cast<double>(std::max<std::int64_t>(steps_here_, 1)) * steps);
}

void Trainer::log_step(double grad_norm, double learning_rate) {
  const auto& window = state_.window;
  const double loss = window.steps > 0 ? window.sum_of_losses / static_cast<double>(window.steps) : NAN;
  const double tokens_per_second = static_cast<double>(window.tokens) / window.seconds;
  const double rate = window.flops / window.seconds;
  // Above the limit: others kept the machine busy while it was measured.
  if (rate > gemm_rate_) gemm_rate_ = std::max(gemm_rate_, inputs_.model.measured_gemm_flops_per_second());
  const double limit_share = rate / gemm_rate_;
  const double memory_gb = static_cast<double>(used_bytes(inputs_.model.device())) / kGigabyte;
  Json event = {{"step", state_.step},    {"epoch", epoch()},
                {"loss", loss},           {"learning_rate", learning_rate},
                {"grad_norm", grad_norm}, {"tokens_per_second", tokens_per_second},
                {"memory_gb", memory_gb}, {"limit_share", limit_share}};
  if (inputs_.group.size() > 1)
    event["sent_gb"] = static_cast<double>(inputs_.group.bytes_sent()) / kGigabyte;
  const auto line = fmt::format(
      "step {}/{} epoch {:.2f} loss {:.4f} lr {:.2e} grad_norm {:.3f} tok/s {:.0f} limit {:.0f}% "
      "mem {:.1f}GB left {}",
      state_.step, inputs_.total_steps, epoch(), loss, learning_rate, grad_norm, tokens_per_second,
      100 * limit_share, memory_gb, time_left());
  log_.event(event, line);
  state_.window = {};
}

void Trainer::show_progress(const StepLoss& loss) {
  log_.progress(fmt::format("step {}/{} loss {:.4f} left {}", state_.step, inputs_.total_steps, loss.mean(),
                            time_left()));
}

bool Trainer::settle_step() {
  const bool evaluates = inputs_.validation.size() > 0 && is_due(inputs_.options.eval_steps) &&
                         state_.evaluated_step != state_.step;
  const bool is_best = evaluates && evaluate();
  const bool is_cut_short = evaluates && state_.evaluated_step != state_.step;
  if (has_ended() && !is_cut_short) {
    finish(is_best);
    return false;
  }
  const bool is_interrupted = is_asked_to_end();
  const bool saves_state = is_interrupted || (is_due(inputs_.save_steps) && steps_here_ > 0);
  if (is_best || saves_state) save(is_best, saves_state);
  if (is_interrupted)
    finish_saving();
  else
    say_saved();
  return !is_interrupted;
}

std::vector<SampleScore> Trainer::score_validation() {
  const auto pool = sample_views(inputs_.validation);
  Progress progress(log_.console(), "evaluating", "samples");
  return with_enough_memory([&] {
    enter_phase("evaluating");
    return inputs_.model.score_samples(pool, inputs_.plan.micro_batch_tokens, inputs_.group,
                                       [&](std::int64_t done) {
                                         enter_phase("evaluating");
                                         if (is_asked_to_end()) throw Interrupted{};
                                         progress.at(done, inputs_.validation.size());
                                       });
  });
}

bool Trainer::evaluate() {
  const auto start = Clock::now();
  std::vector<SampleScore> scores;
  try {
    scores = score_validation();
  } catch (const Interrupted&) {
    return false;  // the resumed run evaluates this step
  }
  const auto mean = mean_loss(scores);
  const double seconds = seconds_since(start);
  const bool is_best = tracker_.add(state_.step, mean.loss);
  state_.evaluated_step = state_.step;
  const auto line = fmt::format(
      "eval step {} eval_loss {:.4f} perplexity {:.3f} samples {} tokens {} in {}{}", state_.step, mean.loss,
      std::exp(mean.loss), mean.samples, mean.tokens, duration_text(seconds), is_best ? " best" : "");
  const auto batch = inputs_.options.per_device_eval_batch_size;
  log_.event({{"step", state_.step},
              {"epoch", epoch()},
              {"eval_loss", mean.loss},
              {"eval_perplexity", std::exp(mean.loss)},
              {"eval_tokens", mean.tokens},
              {"eval_samples", mean.samples},
              {"eval_runtime", seconds},
              {"eval_samples_per_second", static_cast<double>(mean.samples) / seconds},
              {"eval_steps_per_second", static_cast<double>((mean.samples + batch - 1) / batch) / seconds}},
             line);
  if (tracker_.state().bad_in_a_row >= kBadEvaluationsInARow) {
    saver_.finish();
    fail(ExitCode::kNumerical,
         fmt::format("the evaluation loss was not finite {} times in a row", kBadEvaluationsInARow),
         inputs_.folder.string(), "lower --learning_rate");
  }
  if (tracker_.stops())
    log_.say(fmt::format("stopping: {} evaluations without a gain above {}",
                         tracker_.state().evaluations_without_gain,
                         inputs_.options.early_stopping_threshold));
  return is_best && inputs_.total_steps > 0;
}

void Trainer::save(bool as_checkpoint, bool as_state) {
  const auto start = Clock::now();
  if (is_short_of_memory_) give_back_tensor_memory();  // the saver's thread allocates from the system
  state_.best = tracker_.state();
  state_.seconds = seconds_before_ + seconds_since(start_);
  auto state = std::make_shared<RunState>();
  state->step = state_.step;
  state->loop = to_json(state_);
  const RunLength length{inputs_.total_steps, order_.steps_per_epoch(pool_size_), inputs_.save_steps};
  state->trainer_state = trainer_state_json(state_, inputs_.options, length, epoch(), log_.history());
  state->run_record = inputs_.run_record(inputs_.plan);
  enter_phase("saving");
  auto& group = inputs_.group;
  state->values = trained_values(parameters_);
  state->first_moments = named_values(parameters_, optimizer_.first_moments());
  state->second_moments = named_values(parameters_, optimizer_.second_moments());
  if (!inputs_.model.is_shared()) state->divide(group.rank(), group.size());
  const bool publishes = as_checkpoint || !inputs_.model.trains_all_weights();
  state->weights = publishes ? inputs_.model.share_of_weights(group)
                             : WeightShare{.rank = group.rank(), .ranks = group.size()};
  // Where memory is short for a copy, training waits until the state is written.
  const auto room = available_memory_bytes() + tensor_memory().kept;
  const bool is_short = static_cast<double>(state->bytes()) * kCopySpare > static_cast<double>(room);
  const bool copies = !group.any(is_short) || !inputs_.model.device().is_cpu();
  if (copies) state->copy_tensors();
  saver_.start({state, as_checkpoint, as_state});
  if (!copies) saver_.finish();
  log_.progress(
      fmt::format("saving step {}; the step waited for {:.0f} ms", state_.step, 1000 * seconds_since(start)));
}

void Trainer::say_saved() {
  inputs_.after_step();
  // On all ranks in the same step, whenever each has finished.
  const bool settles = saver_.is_saving() && !inputs_.group.any(!saver_.has_ended());
  for (const auto& line : saver_.report(settles)) log_.say(line);
  for (const auto& [step, folder] : saver_.take_saved()) log_.saved(step, folder);
}

void Trainer::finish_saving() {
  saver_.finish();
  say_saved();
}

Json Trainer::results() const {
  const double seconds = seconds_before_ + seconds_since(start_);
  const auto& best = tracker_.state();
  const double train_loss =
      state_.updates > 0 ? state_.total_loss / static_cast<double>(state_.updates) : NAN;
  return {{"epoch", epoch()},
          {"train_loss", train_loss},
          {"train_runtime", seconds},
          {"train_samples_per_second", static_cast<double>(state_.total_samples) / seconds},
          {"train_steps_per_second", static_cast<double>(state_.step) / seconds},
          {"total_flos", state_.total_flops},
          {"train_steps", state_.step},
          {"train_samples", inputs_.training.size()},
          {"best_metric", best.best_loss ? Json(*best.best_loss) : Json(nullptr)},
          {"best_step", best.best_step},
          {"stop_reason", tracker_.stops() ? "early_stopping" : "max_steps"}};
}

void Trainer::finish(bool is_best) {
  state_.results = results();
  Json event = {{"step", state_.step}, {"epoch", epoch()}};
  for (const char* key :
       {"train_loss", "train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos"})
    event[key] = state_.results[key];
  log_.event(event);
  if (inputs_.total_steps > 0) {
    // Without validation the last weights are the best there are.
    const bool as_checkpoint = is_best || inputs_.validation.size() == 0;
    save(as_checkpoint, /*as_state=*/true);
    finish_saving();
  }
  inputs_.group.on_root([&] { log_.require_written(); });
  write_results();
  log_.say(fmt::format("done: {} steps in {}", state_.step,
                       duration_text(state_.results["train_runtime"].get<double>())));
}

void Trainer::write_results() const {
  if (!inputs_.group.is_root()) return;
  write_file_atomically(inputs_.folder / "train_results.json", state_.results.dump(2) + "\n");
  Json all = state_.results;
  for (const auto& event : log_.history())
    if (event.contains("eval_loss")) all.update(event);
  for (const char* key : {"step", "wall_time"}) all.erase(key);
  write_file_atomically(inputs_.folder / kAllResults, all.dump(2) + "\n");
}

void Trainer::shrink_plan() {
  is_short_of_memory_ = true;
  give_back_memory(inputs_.model.device());
  auto& plan = inputs_.plan;
  const auto longest = std::max(inputs_.training.counts().longest, inputs_.validation.counts().longest);
  if (plan.kept_layers > 0)
    plan.kept_layers = 0;
  else if (plan.micro_batch_tokens > longest)
    plan.micro_batch_tokens = std::max(plan.micro_batch_tokens / 2, longest);
  else
    fail(ExitCode::kResources, "out of memory in step " + std::to_string(state_.step + 1),
         inputs_.model.memory_use_text(inputs_.group.size(), plan, longest),
         "a smaller --max_seq_length or --lora_rank, or more memory; the newest state is kept, and the same "
         "command goes on from it");
  write_file_atomically(inputs_.folder / kRunRecord, inputs_.run_record(plan));
  log_.say(
      fmt::format("out of memory: going on with micro-batches of at most {} tokens, all layers recomputed",
                  plan.micro_batch_tokens));
}

void Trainer::leave_short_of_memory() {
  fail(ExitCode::kDistributed,
       fmt::format("rank {} has run out of memory in step {}", inputs_.group.rank(), state_.step + 1),
       inputs_.folder.string(),
       fmt::format("started again, the run goes on with micro-batches of at most {} tokens",
                   inputs_.plan.micro_batch_tokens));
}

}  // namespace anneal
