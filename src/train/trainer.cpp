#include "train/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "base/file.h"
#include "base/memory.h"

namespace anneal {
namespace {

constexpr int kSkippedInARow = 3;         // steps without a finite loss that nan_policy skip allows
constexpr int kBadEvaluationsInARow = 3;  // evaluations without a finite loss until the run stops
constexpr double kGigabyte = 1e9;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole >= 3600) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  return whole >= 60 ? fmt::format("{}m{:02}s", whole / 60, whole % 60) : fmt::format("{}s", whole);
}

std::vector<SampleView> views(const ExampleSet& set, const std::vector<std::int64_t>& indices) {
  std::vector<SampleView> samples;
  for (const auto index : indices) samples.push_back({set[index].ids, set[index].prompt_length});
  return samples;
}

}  // namespace

Trainer::Trainer(TrainerInputs inputs, RunDirectory& directory, RunLog& log)
    : inputs_(std::move(inputs)),
      directory_(directory),
      log_(log),
      parameters_(inputs_.model.parameters()),
      optimizer_(parameters_, inputs_.options.weight_decay),
      schedule_(inputs_.options.lr_scheduler_type, inputs_.options.learning_rate,
                inputs_.options.min_learning_rate, inputs_.options.warmup_ratio, inputs_.total_steps),
      order_(static_cast<std::uint64_t>(inputs_.options.seed), inputs_.training.size()),
      pool_size_(inputs_.options.per_device_train_batch_size * inputs_.options.gradient_accumulation_steps) {}

void Trainer::run() {
  const auto start = std::chrono::steady_clock::now();
  gemm_rate_ = measured_gemm_flops_per_second(inputs_.model);
  while (step_ < inputs_.total_steps && !stop_) {
    train_step();
    if (inputs_.validation.size() > 0 && is_due(inputs_.options.eval_steps)) evaluate();
  }
  if (inputs_.total_steps == 0 && inputs_.validation.size() > 0) evaluate();
  if (inputs_.validation.size() == 0) save();
  finish(seconds_since(start));
}

void Trainer::train_step() {
  const auto start = std::chrono::steady_clock::now();
  const auto indices = order_.indices_of_step(step_, pool_size_);
  const auto pool = views(inputs_.training, indices);
  zero_gradients(parameters_);
  const auto loss = forward_backward(inputs_.model, pool, inputs_.plan, inputs_.options.seed, step_);
  const double grad_norm = clip_gradients(parameters_, inputs_.options.max_grad_norm);
  const double learning_rate = schedule_.at(step_);
  ++step_;
  if (is_finite_or_skipped(loss, grad_norm, indices)) {
    optimizer_.step(learning_rate);
    window_.sum_of_losses += loss.mean();
    ++window_.steps;
    total_loss_ += loss.mean();
    ++counted_steps_;
  }
  window_.tokens += loss.tokens;
  window_.flops += needed_flops(inputs_.model, pool);
  const double seconds = seconds_since(start);
  window_.seconds += seconds;
  total_seconds_ += seconds;
  if (step_ == 1 || is_due(inputs_.options.logging_steps))
    log_step(grad_norm, learning_rate);
  else
    show_progress(loss);
}

bool Trainer::is_finite_or_skipped(const StepLoss& loss, double grad_norm,
                                   const std::vector<std::int64_t>& indices) {
  if (std::isfinite(loss.sum_nll) && std::isfinite(grad_norm)) {
    skipped_in_a_row_ = 0;
    return true;
  }
  Json rows = Json::array();
  for (const auto index : indices) rows.push_back(inputs_.training[index].row);
  const auto path = directory_.path() / fmt::format("bad_step-{}.json", step_);
  write_file_atomically(path, Json({{"step", step_},
                                    {"loss", loss.mean()},
                                    {"grad_norm", grad_norm},
                                    {"rows_of_training.jsonl", rows}})
                                      .dump(2) +
                                  "\n");
  if (inputs_.options.nan_policy == "stop" || ++skipped_in_a_row_ > kSkippedInARow)
    fail(ExitCode::kNumerical, fmt::format("the loss or the gradients of step {} are not finite", step_),
         path.string(), "lower --learning_rate, look at the rows named there, or give --nan_policy skip");
  log_.say(fmt::format("step {}: loss or gradients are not finite; skipped, see {}", step_, path.string()));
  return false;
}

double Trainer::epoch() const {
  return order_.epochs_done(step_, inputs_.options.per_device_train_batch_size,
                            inputs_.options.gradient_accumulation_steps);
}

void Trainer::log_step(double grad_norm, double learning_rate) {
  const double loss = window_.steps > 0 ? window_.sum_of_losses / static_cast<double>(window_.steps) : NAN;
  const double tokens_per_second = static_cast<double>(window_.tokens) / window_.seconds;
  const double rate = window_.flops / window_.seconds;
  // Above the limit: others kept the machine busy while it was measured.
  if (rate > gemm_rate_) gemm_rate_ = std::max(gemm_rate_, measured_gemm_flops_per_second(inputs_.model));
  const double limit_share = rate / gemm_rate_;
  const double memory_gb = static_cast<double>(resident_memory_bytes()) / kGigabyte;
  const double left =
      total_seconds_ / static_cast<double>(step_) * static_cast<double>(inputs_.total_steps - step_);
  log_.say(
      fmt::format("step {}/{} epoch {:.2f} loss {:.4f} lr {:.2e} grad_norm {:.3f} tok/s {:.0f} limit {:.0f}% "
                  "mem {:.1f}GB "
                  "left {}",
                  step_, inputs_.total_steps, epoch(), loss, learning_rate, grad_norm, tokens_per_second,
                  100 * limit_share, memory_gb, duration_text(left)));
  log_.event({{"step", step_},
              {"epoch", epoch()},
              {"loss", loss},
              {"learning_rate", learning_rate},
              {"grad_norm", grad_norm},
              {"tokens_per_second", tokens_per_second},
              {"memory_gb", memory_gb},
              {"limit_share", limit_share}});
  window_ = {};
}

void Trainer::show_progress(const StepLoss& loss) {
  const double left =
      total_seconds_ / static_cast<double>(step_) * static_cast<double>(inputs_.total_steps - step_);
  log_.progress(fmt::format("step {}/{} loss {:.4f} left {}", step_, inputs_.total_steps, loss.mean(),
                            duration_text(left)));
}

void Trainer::evaluate() {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::int64_t> all(inputs_.validation.size());
  for (std::size_t index = 0; index < all.size(); ++index) all[index] = static_cast<std::int64_t>(index);
  const auto scores = score_samples(
      inputs_.model, views(inputs_.validation, all), inputs_.plan.micro_batch_tokens,
      [&](std::int64_t done) { log_.progress(fmt::format("evaluating {}/{}", done, all.size())); });
  const auto mean = mean_loss(scores);
  const double seconds = seconds_since(start);
  const bool is_best = std::isfinite(mean.loss) && (!best_eval_loss_ || mean.loss < *best_eval_loss_);
  log_.say(fmt::format("eval step {} eval_loss {:.4f} perplexity {:.3f} samples {} tokens {} in {}{}", step_,
                       mean.loss, std::exp(mean.loss), mean.samples, mean.tokens, duration_text(seconds),
                       is_best ? " best" : ""));
  log_.event({{"step", step_},
              {"epoch", epoch()},
              {"eval_loss", mean.loss},
              {"eval_perplexity", std::exp(mean.loss)},
              {"eval_tokens", mean.tokens},
              {"eval_samples", mean.samples},
              {"eval_runtime", seconds},
              {"eval_samples_per_second", static_cast<double>(mean.samples) / seconds}});
  bad_evaluations_in_a_row_ = std::isfinite(mean.loss) ? 0 : bad_evaluations_in_a_row_ + 1;
  if (bad_evaluations_in_a_row_ >= kBadEvaluationsInARow)
    fail(ExitCode::kNumerical,
         fmt::format("the evaluation loss was not finite {} times in a row", kBadEvaluationsInARow),
         directory_.path().string(), "lower --learning_rate");
  consider_stopping(mean.loss);
  if (!is_best) return;
  best_eval_loss_ = mean.loss;
  best_step_ = step_;
  if (inputs_.total_steps > 0) save();
}

// transformers' rule: a gain counts against the best so far, which also moves on smaller gains.
void Trainer::consider_stopping(double eval_loss) {
  const bool gained =
      !best_eval_loss_ || *best_eval_loss_ - eval_loss > inputs_.options.early_stopping_threshold;
  evaluations_without_gain_ = std::isfinite(eval_loss) && gained ? 0 : evaluations_without_gain_ + 1;
  if (inputs_.options.early_stopping_patience == 0 ||
      evaluations_without_gain_ < inputs_.options.early_stopping_patience)
    return;
  stop_ = true;
  stop_reason_ = "early_stopping";
  log_.say(fmt::format("stopping: {} evaluations without a gain above {}", evaluations_without_gain_,
                       inputs_.options.early_stopping_threshold));
}

void Trainer::save() {
  if (inputs_.total_steps == 0) return;
  directory_.save_checkpoint(step_, inputs_.save_total_limit, inputs_.write_checkpoint);
  log_.say(fmt::format("saved {}", (directory_.path() / fmt::format("checkpoint-{}", step_)).string()));
}

void Trainer::finish(double seconds) {
  const double train_loss = counted_steps_ > 0 ? total_loss_ / static_cast<double>(counted_steps_) : NAN;
  const Json results = {{"epoch", epoch()},
                        {"train_loss", train_loss},
                        {"train_runtime", seconds},
                        {"train_steps", step_},
                        {"train_samples", inputs_.training.size()},
                        {"best_metric", best_eval_loss_ ? Json(*best_eval_loss_) : Json(nullptr)},
                        {"best_step", best_step_},
                        {"stop_reason", stop_reason_}};
  for (const char* name : {"train_results.json", "all_results.json"})
    write_file_atomically(directory_.path() / name, results.dump(2) + "\n");
  log_.say(fmt::format("done: {} steps in {}", step_, duration_text(seconds)));
}

}  // namespace anneal
