// The options of the training loop. Free of torch.
#pragma once
#include <charconv>
#include <optional>
#include <set>
#include <string>

#include "base/fields.h"

namespace anneal {

struct TrainOptions {
  std::int64_t max_steps = 10000;
  std::optional<std::string> num_train_epochs;
  std::int64_t per_device_train_batch_size = 2;
  std::int64_t per_device_eval_batch_size = 2;
  std::int64_t gradient_accumulation_steps = 4;
  double learning_rate = 5e-5;
  double min_learning_rate = 1e-6;
  double weight_decay = 0.01;
  double warmup_ratio = 0.03;
  double max_grad_norm = 1.0;
  std::string lr_scheduler_type = "cosine";
  std::int64_t logging_steps = 10;
  std::int64_t eval_steps = 100;
  std::optional<std::int64_t> max_eval_samples;
  std::int64_t early_stopping_patience = 3;
  double early_stopping_threshold = 0.001;
  std::string early_stopping_reference = "best";
  std::int64_t seed = 16257;
  std::string gradient_checkpointing = "auto";
  std::string micro_batch_tokens = "auto";
  std::string nan_policy = "stop";
  std::int64_t dataloader_num_workers = 4;
  bool remove_unused_columns = false;
  bool use_liger_kernel = false;
  std::string sharding = "auto";
  std::string engine = "native";

  static void fields(auto& c, auto field) {
    const FieldTraits at_least_1{.minimum = 1}, at_least_0{.minimum = 0};
    // What does not shape the training may differ when a run is resumed.
    const FieldTraits free{.may_differ = true}, free_at_least_1{.minimum = 1, .may_differ = true},
        free_at_least_0{.minimum = 0, .may_differ = true};
    field("max_steps", c.max_steps, "Optimizer steps; 0 evaluates only.",
          FieldTraits{.minimum = 0, .may_differ = true, .heading = "Length and batch"});
    field("num_train_epochs", c.num_train_epochs,
          "Passes over the training data; the other way to give the length.", free);
    field("per_device_train_batch_size", c.per_device_train_batch_size,
          "Samples; times gradient_accumulation_steps it is the number of samples of one optimizer step.",
          at_least_1);
    field("gradient_accumulation_steps", c.gradient_accumulation_steps,
          "See per_device_train_batch_size. The loss is normalised over the whole step, so only the product "
          "counts.",
          at_least_1);
    field("per_device_eval_batch_size", c.per_device_eval_batch_size,
          "Accepted for the sake of other tools' command lines: evaluation is cut by micro_batch_tokens, and "
          "its "
          "result depends on neither.",
          free_at_least_1);
    field("learning_rate", c.learning_rate, "Peak learning rate.",
          FieldTraits{.minimum = 0, .heading = "Learning rate and optimizer"});
    field("min_learning_rate", c.min_learning_rate, "The schedule ends at this learning rate.", at_least_0);
    field("weight_decay", c.weight_decay, "AdamW's decoupled decay; not on biases and norms.", at_least_0);
    field("warmup_ratio", c.warmup_ratio, "Share of the steps in which the learning rate rises from 0.",
          FieldTraits{.minimum = 0, .maximum = 1});
    field("max_grad_norm", c.max_grad_norm, "Gradients are scaled down to this norm; 0 turns clipping off.",
          at_least_0);
    field(
        "lr_scheduler_type", c.lr_scheduler_type, "The schedule after the warm-up.",
        FieldTraits{.choices = {"cosine", "linear", "constant", "constant_with_warmup", "cosine_with_min_lr",
                                "polynomial", "inverse_sqrt", "cosine_with_restarts"}});
    field("logging_steps", c.logging_steps, "Log every so many steps, and at the first and the last.",
          FieldTraits{.minimum = 1, .may_differ = true, .heading = "Log, evaluation, early stopping"});
    field("eval_steps", c.eval_steps, "Evaluate every so many steps, and at the last.", free_at_least_1);
    field("max_eval_samples", c.max_eval_samples, "Evaluate on the first so many validation rows.",
          at_least_1);
    field("early_stopping_patience", c.early_stopping_patience,
          "Stop after so many evaluations without an improvement; 0 turns it off.", free_at_least_0);
    field("early_stopping_threshold", c.early_stopping_threshold, "An improvement is larger than this.",
          free_at_least_0);
    field("early_stopping_reference", c.early_stopping_reference,
          "What a gain is measured against: the best loss so far, or (anchor) the one of the last gain that "
          "counted.",
          FieldTraits{.choices = {"best", "anchor"}, .may_differ = true});
    field("seed", c.seed, "Seeds the split, the initial adapter, the order of samples and dropout.",
          FieldTraits{.minimum = 0, .heading = "Seed, speed and memory"});
    field("gradient_checkpointing", c.gradient_checkpointing,
          "Reckon activations again in the backward pass: on for all layers, off for none, auto for those "
          "that do not "
          "fit into memory.",
          FieldTraits{.choices = {"auto", "on", "off"}, .may_differ = true});
    field("micro_batch_tokens", c.micro_batch_tokens,
          "The samples of a step are cut into padding-free micro-batches of at most so many tokens; auto: "
          "what fits. "
          "Changes speed and memory, not the result.",
          free);
    field("nan_policy", c.nan_policy,
          "On a loss or gradient that is not finite: stop, or skip the step (at most 3 in a row).",
          FieldTraits{.choices = {"stop", "skip"}, .may_differ = true});
    field("dataloader_num_workers", c.dataloader_num_workers,
          "Threads that tokenize; 0 is one. The result is the same.", free_at_least_0);
    field("remove_unused_columns", c.remove_unused_columns,
          "Accepted for the sake of other tools' command lines; no effect.", free);
    field("use_liger_kernel", c.use_liger_kernel,
          "Accepted for the sake of other tools' command lines; no effect.", free);
    field("engine", c.engine,
          "Who computes losses and gradients: native, this program, for the model families it has; "
          "transformers, a Python process with transformers and PEFT, for any other causal language model. "
          "Slower.",
          FieldTraits{.choices = {"native", "transformers"}});
    field(
        "sharding", c.sharding,
        "What several processes hold: full, each a part of weights, gradients and optimizer state, gathered "
        "layer by layer; none, each all of them; auto, full where all of them do not fit.",
        FieldTraits{.choices = {"full", "none", "auto"}, .may_differ = true, .heading = "Processes"});
  }

  // The token budget of a micro-batch; unset for auto.
  std::optional<std::int64_t> token_budget() const {
    if (micro_batch_tokens == "auto") return std::nullopt;
    std::int64_t tokens = 0;
    const auto* end = micro_batch_tokens.data() + micro_batch_tokens.size();
    const auto result = std::from_chars(micro_batch_tokens.data(), end, tokens);
    return result.ec == std::errc() && result.ptr == end && tokens >= 1 ? tokens : 0;
  }

  // The number of epochs; unset where max_steps counts.
  std::optional<double> epochs() const {
    if (!num_train_epochs) return std::nullopt;
    double value = 0;
    const auto* end = num_train_epochs->data() + num_train_epochs->size();
    const auto result = std::from_chars(num_train_epochs->data(), end, value);
    return result.ec == std::errc() && result.ptr == end && value > 0 && value < 1e9 ? value : 0;
  }

  void validate(const std::set<std::string>& given, std::vector<Problem>& problems) {
    if (engine == "transformers" && sharding == "full")
      problems.push_back({"--engine transformers has whole weights in every process", "--sharding",
                          "give none, or --engine native"});
    if (token_budget() == 0)
      problems.push_back({"\"" + micro_batch_tokens + "\" is not auto or a whole number above 0",
                          "--micro_batch_tokens", "give auto or a number"});
    if (epochs() == 0.0)
      problems.push_back(
          {"\"" + *num_train_epochs + "\" is not a number above 0", "--num_train_epochs", "give a number"});
    if (num_train_epochs && given.count("max_steps") != 0)
      problems.push_back(
          {"--max_steps gives the length already", "--num_train_epochs", "give one of the two"});
    if (min_learning_rate <= learning_rate) return;
    if (given.count("min_learning_rate") != 0)
      problems.push_back(
          {"is above --learning_rate", "--min_learning_rate", "give a value of at most the learning rate"});
    else
      min_learning_rate = learning_rate;
  }
};

}  // namespace anneal
