#include "train/loop_state.h"

namespace anneal {
namespace {

constexpr std::int64_t kVersion = 1;

// Each counter once: `field(name, value)` for all of them.
template <class State>
void for_each_counter(State& state, auto field) {
  field("step", state.step);
  field("epoch", state.position.epoch);
  field("samples_of_epoch", state.position.taken);
  field("updates", state.updates);
  field("window_sum_of_losses", state.window.sum_of_losses);
  field("window_steps", state.window.steps);
  field("window_tokens", state.window.tokens);
  field("window_seconds", state.window.seconds);
  field("window_flops", state.window.flops);
  field("total_loss", state.total_loss);
  field("total_tokens", state.total_tokens);
  field("total_samples", state.total_samples);
  field("total_flops", state.total_flops);
  field("seconds", state.seconds);
  field("skipped_in_a_row", state.skipped_in_a_row);
  field("evaluated_step", state.evaluated_step);
  field("best_step", state.best.best_step);
  field("evaluations_without_gain", state.best.evaluations_without_gain);
  field("bad_evaluations_in_a_row", state.best.bad_in_a_row);
}

Json json_of(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

// A key that is not there is a fault all the same: what is unset is written as null.
std::optional<double> number_or_null(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found != json.end() && found->is_null()) return std::nullopt;
  return required<double>(json, key, where, ExitCode::kModel);
}

Json object_or_null(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found != json.end() && (found->is_null() || found->is_object())) return *found;
  fail(ExitCode::kModel, std::string("the key \"") + key + "\" is missing or has the wrong type", where,
       "use a complete, unmodified file");
}

// transformers' state of an EarlyStoppingCallback and of its TrainerControl, at the moment of a save.
Json stateful_callbacks(const LoopState& state, const TrainOptions& options) {
  const bool ends = !state.results.is_null();
  Json callbacks = {{"TrainerControl",
                     {{"args",
                       {{"should_epoch_stop", false},
                        {"should_evaluate", false},
                        {"should_log", false},
                        {"should_save", true},
                        {"should_training_stop", ends}}},
                      {"attributes", Json::object()}}}};
  // With a patience of 0 the callback would stop at the next evaluation: there, off is to have none.
  if (options.early_stopping_patience > 0)
    callbacks["EarlyStoppingCallback"] = {
        {"args",
         {{"early_stopping_patience", options.early_stopping_patience},
          {"early_stopping_threshold", options.early_stopping_threshold}}},
        {"attributes", {{"early_stopping_patience_counter", state.best.evaluations_without_gain}}}};
  return callbacks;
}

}  // namespace

Json to_json(const LoopState& state) {
  Json json = {{"version", kVersion}, {"results", state.results}};
  for_each_counter(state, [&](const char* name, const auto& value) { json[name] = value; });
  json["best_loss"] = json_of(state.best.best_loss);
  json["counted_loss"] = json_of(state.best.counted_loss);
  return json;
}

LoopState loop_state_of(const Json& json, const std::string& where) {
  const auto version = required<std::int64_t>(json, "version", where, ExitCode::kModel);
  if (version != kVersion)
    fail(
        ExitCode::kModel,
        "is of format " + std::to_string(version) + "; this version reads format " + std::to_string(kVersion),
        where, "go on with the version that wrote it");
  LoopState state;
  for_each_counter(state, [&](const char* name, auto& value) {
    value = required<std::remove_cvref_t<decltype(value)>>(json, name, where, ExitCode::kModel);
  });
  state.best.best_loss = number_or_null(json, "best_loss", where);
  state.best.counted_loss = number_or_null(json, "counted_loss", where);
  state.results = object_or_null(json, "results", where);
  return state;
}

Json trainer_state_json(const LoopState& state, const TrainOptions& options, const RunLength& length,
                        double epoch, const Json& log_history) {
  const bool has_best = state.best.best_step > 0;
  return {{"best_global_step", has_best ? Json(state.best.best_step) : Json(nullptr)},
          {"best_metric", json_of(state.best.best_loss)},
          // Relative to the run's folder, so that a folder that was moved stays valid.
          {"best_model_checkpoint",
           has_best ? Json("checkpoint-" + std::to_string(state.best.best_step)) : Json(nullptr)},
          {"epoch", epoch},
          {"eval_steps", options.eval_steps},
          {"global_step", state.step},
          {"is_hyper_param_search", false},
          {"is_local_process_zero", true},
          {"is_world_process_zero", true},
          {"log_history", log_history},
          {"logging_steps", options.logging_steps},
          {"max_steps", length.total_steps},
          {"num_input_tokens_seen", state.total_tokens},
          {"num_train_epochs", (length.total_steps + length.steps_per_epoch - 1) / length.steps_per_epoch},
          {"save_steps", length.save_steps},
          {"stateful_callbacks", stateful_callbacks(state, options)},
          {"total_flos", state.total_flops},
          {"train_batch_size", options.per_device_train_batch_size},
          {"trial_name", nullptr},
          {"trial_params", nullptr}};
}

}  // namespace anneal
