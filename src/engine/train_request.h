// All options of `anneal train`, composed of those of its components. Free of torch.
#pragma once
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include "base/fields.h"
#include "base/file.h"
#include "data/dataset_options.h"
#include "data/example_options.h"
#include "dist/dist_options.h"
#include "launch/environment.h"
#include "launch/launch_options.h"
#include "models/model_options.h"
#include "nn/lora_options.h"
#include "train/train_options.h"

namespace anneal {

struct RunOptions {
  std::string results_dir = "results";
  std::optional<std::string> logging_dir;
  std::optional<std::string> run_name;
  bool new_run = false;
  std::string resume = "auto";
  std::int64_t save_total_limit = 2;
  std::int64_t save_steps = 100;
  std::string report_to = "tensorboard";
  bool use_wandb = false;
  bool force = false;
  std::optional<std::int64_t> events_fd;
  bool dry_run = false;

  static void fields(auto& c, auto field) {
    const FieldTraits free{.may_differ = true};
    field("results_dir", c.results_dir, "A run lives in <results_dir>/<run_name>.", free);
    field("run_name", c.run_name, "Default: the name of the model's folder, or its id.", free);
    field("new_run", c.new_run, "Where a run of this name lies there already, take <run_name>-2.", free);
    field(
        "resume", c.resume,
        "auto goes on with the run that lies there, from its newest state that holds; none never does; the "
        "path of a state (resume/step-<step> or checkpoint-<step>) goes on from that one, also with another "
        "recipe.",
        free);
    field(
        "save_steps", c.save_steps,
        "Save a state to resume from every so many steps, and at the end; the newest two stay. 0: at the end "
        "and on a signal alone.",
        FieldTraits{.minimum = 0, .may_differ = true});
    field("save_total_limit", c.save_total_limit, "How many checkpoints stay; the best always does.",
          FieldTraits{.minimum = 1, .may_differ = true});
    field("logging_dir", c.logging_dir,
          "TensorBoard files go to <logging_dir>/<run_name>. Default: <run>/logs.", free);
    field("report_to", c.report_to,
          "Who gets the metrics beside log.jsonl: tensorboard, wandb, mlflow, separated by commas, or none.",
          free);
    field("use_wandb", c.use_wandb, "Report to wandb too.", free);
    field("force", c.force, "Start in spite of what the checks of samples and disk space refuse.", free);
    field("events_fd", c.events_fd,
          "An open descriptor on which the program that starts this one reads the run's figures and saved "
          "folders, one JSON object a line.",
          FieldTraits{.minimum = 3, .may_differ = true});
    field("dry_run", c.dry_run,
          "Do all that comes before the first step (model, data, memory, the plan of a step), say it, and "
          "stop. "
          "No run is made or changed; prepared data stay.",
          free);
  }

  // What report_to and use_wandb name.
  std::set<std::string> reporters() const {
    std::set<std::string> names;
    std::istringstream list(report_to);
    for (std::string name; std::getline(list, name, ',');) {
      name.erase(0, name.find_first_not_of(' '));
      name.erase(name.find_last_not_of(' ') + 1);
      if (name != "none") names.insert(name);
    }
    if (use_wandb) names.insert("wandb");
    return names;
  }

  void validate(std::vector<Problem>& problems) const {
    if (run_name &&
        (run_name->empty() || *run_name == "." || *run_name == ".." || run_name->find('/') != run_name->npos))
      problems.push_back({"\"" + *run_name + "\" is not the name of one folder", "--run_name",
                          "give a name without /; --results_dir says where its folder lies"});
    if (events_fd && !is_open_for_writing(*events_fd))
      problems.push_back({"descriptor " + std::to_string(*events_fd) + " is not open for writing",
                          "--events_fd", "leave the flag out, or let the program inherit the descriptor"});
    for (const auto& name : reporters())
      if (name != "tensorboard" && name != "wandb" && name != "mlflow")
        problems.push_back(
            {"\"" + name + "\" is not known", "--report_to", "give tensorboard, wandb, mlflow or none"});
    // A launcher has checked it, and by now the run may have replaced it.
    const bool is_checked = !current_launch_id().empty();
    if (resume != "auto" && resume != "none" && !is_checked && !is_folder(resume))
      problems.push_back({"\"" + resume + "\" is not auto, none or a folder", "--resume",
                          "name a run's resume/step-<step> or checkpoint-<step>"});
  }
};

struct TrainRequest {
  ModelOptions model;
  LoraOptions lora;
  DatasetOptions dataset;
  ExampleOptions example;
  TrainOptions train;
  LaunchOptions launch;
  RunOptions run;
  DistOptions dist;

  static void fields(auto& c, auto field) {
    field("model", c.model, "Model");
    field("lora", c.lora, "Adapter");
    field("dataset", c.dataset, "Data");
    field("example", c.example, "Samples");
    field("train", c.train, "Training");
    field("launch", c.launch, "Processes");
    field("run", c.run, "Run");
    field("dist", c.dist, "Waiting for other processes");
  }

  // Completes what depends on which flags were given, and collects every mistake that can be seen without the
  // data.
  void complete(const std::set<std::string>& given, std::vector<Problem>& problems) {
    resolve(dataset, given);
    model.validate(problems);
    lora.validate(problems);
    dataset.validate(problems);
    train.validate(given, problems);
    launch.validate(given, problems);
    run.validate(problems);
  }
};

// All options of `anneal score`.
struct ScoreRequest {
  ModelOptions model;
  ExampleOptions example;
  std::optional<std::string> adapter;
  std::string data;
  std::optional<std::string> output;
  std::optional<std::string> logits;
  std::int64_t batch_tokens = 4096;
  std::int64_t dataloader_num_workers = 4;
  bool offline = false;

  static void fields(auto& c, auto field) {
    field("model", c.model, "Model");
    field("adapter", c.adapter, "A PEFT adapter folder to apply.", FieldTraits{.heading = "Score"});
    field("data", c.data, "The JSONL file of {\"input\", \"output\"} rows to score.");
    field("output", c.output, "Where the line of each sample goes. Default: standard output.");
    field("logits", c.logits,
          "A safetensors file to write: ids and logits (float32) of every position of the first sample.");
    field("batch_tokens", c.batch_tokens, "Tokens of one batch. Changes speed and memory, not the result.",
          FieldTraits{.minimum = 1, .heading = "Speed and memory"});
    field("dataloader_num_workers", c.dataloader_num_workers, "Threads that tokenize.",
          FieldTraits{.minimum = 0});
    field("offline", c.offline, "Never use the network; HF_HUB_OFFLINE=1 says the same.");
    field("example", c.example, "Samples");
  }

  void complete(const std::set<std::string>&, std::vector<Problem>& problems) const {
    model.validate(problems);
    if (data.empty()) problems.push_back({"is needed", "--data", "name a JSONL file"});
  }
};

}  // namespace anneal
