// All options of `anneal test`, composed of those of its components. Free of torch.
#pragma once
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/file.h"
#include "checkpoint/checkpoint_options.h"
#include "dist/dist_options.h"
#include "eval/bert_score_options.h"
#include "generate/generate_options.h"
#include "launch/launch_options.h"
#include "models/model_options.h"

namespace anneal {

struct TestOptions {
  std::optional<std::string> test_path;
  std::int64_t max_samples = 1024;
  std::optional<std::string> output_dir;
  bool resume = false;
  std::string engine = "auto";
  std::string dtype = "bfloat16";
  std::string merge_adapter = "auto";
  bool special_in_text = true;
  std::optional<std::int64_t> tensor_parallel_size;
  double gpu_memory_utilization = 0.9;
  std::string vllm_path = "vllm";
  std::optional<std::string> vllm_url;
  std::optional<std::string> vllm_model;

  static void fields(auto& c, auto field) {
    field("test_path", c.test_path,
          "A JSONL file of {\"input\", \"output\"} rows, or a folder that holds test.jsonl. Default: that of "
          "the data that the run was trained on, else the newest below ./datasets.");
    field("max_samples", c.max_samples, "Take the first so many rows.", FieldTraits{.minimum = 1});
    field("output_dir", c.output_dir,
          "Where predictions.jsonl and metrics.json go. Default: <run>/eval/<checkpoint>.");
    field("resume", c.resume, "Go on from the rows that a test of the same settings left when it was ended.");
    field("engine", c.engine,
          "Who generates; auto: vLLM where it is installed and a GPU is there, else this program.",
          FieldTraits{.choices = {"auto", "native", "vllm"}, .heading = "Engine"});
    field(
        "dtype", c.dtype,
        "What the model computes in; auto: bfloat16 where the device has instructions for it, else float32.",
        FieldTraits{.choices = {"auto", "bfloat16", "float16", "float32"}});
    field(
        "merge_adapter", c.merge_adapter,
        "Add an adapter to the weights once, in float32, before generating; off: apply it beside them. auto: "
        "on for this program, off for vLLM, which would need a merged copy on disk, unless it cannot "
        "apply the adapter.",
        FieldTraits{.choices = {"auto", "on", "off"}});
    field("special_in_text", c.special_in_text,
          "Text in prompts that looks like a special token becomes that token. Default: as in training.");
    field("tensor_parallel_size", c.tensor_parallel_size,
          "vLLM: GPUs that share the model. Default: as many as there are and divide its heads.",
          FieldTraits{.minimum = 1, .heading = "vLLM"});
    field("gpu_memory_utilization", c.gpu_memory_utilization,
          "vLLM: the share of a GPU's memory that it takes.",
          FieldTraits{.minimum = 0, .maximum = 1, .exclusive_minimum = true});
    field("vllm_path", c.vllm_path, "The vllm program to start: a path, or a name on PATH.");
    field(
        "vllm_url", c.vllm_url,
        "Take a vLLM server that runs already and serves the checkpoint, e.g. http://127.0.0.1:8000; its key "
        "comes from VLLM_API_KEY.");
    field("vllm_model", c.vllm_model, "Which of that server's models the checkpoint is.");
  }

  void validate(std::vector<Problem>& problems) const {
    if (engine == "native") {
      if (tensor_parallel_size.value_or(1) > 1)
        problems.push_back({"the native engine has no tensor parallelism", "--tensor_parallel_size",
                            "leave the flag out, or give --engine vllm"});
      if (dtype == "float16")
        problems.push_back({"the native engine computes in bfloat16 or float32", "--dtype",
                            "give one of them, or --engine vllm"});
      if (vllm_url)
        problems.push_back(
            {"a server was named, and --engine native", "--vllm_url", "leave one of them out"});
    }
    if (vllm_url && !vllm_url->starts_with("http://") && !vllm_url->starts_with("https://"))
      problems.push_back({"\"" + *vllm_url + "\" is no address of a server", "--vllm_url",
                          "give one like http://127.0.0.1:8000"});
    if (vllm_url && merge_adapter == "on")
      problems.push_back(
          {"a server that runs has its weights already", "--merge_adapter", "leave the flag out"});
    if (vllm_model && !vllm_url)
      problems.push_back({"is of use with --vllm_url only", "--vllm_model", "leave the flag out"});
  }
};

struct TestRequest {
  CheckpointOptions checkpoint;
  GenerateOptions generate;
  TestOptions test;
  BertScoreOptions bert_score;
  LaunchOptions launch;
  DistOptions dist;

  static void fields(auto& c, auto field) {
    field("checkpoint", c.checkpoint, "Checkpoint");
    field("test", c.test, "Test");
    field("generate", c.generate, "Generation");
    field("bert_score", c.bert_score, "BERTScore");
    field("launch", c.launch, "Processes");
    field("dist", c.dist, "Waiting for other processes");
  }

  void complete(const std::set<std::string>& given, std::vector<Problem>& problems) const {
    checkpoint.validate(problems);
    if (!checkpoint.base_model.empty()) check_model_name(checkpoint.base_model, "--base_model", problems);
    generate.validate(problems);
    test.validate(problems);
    launch.validate(given, problems);
    if (launch.world_size() > 1 && (test.engine == "vllm" || test.vllm_url))
      problems.push_back({"vLLM divides its work over GPUs itself", "--num_workers",
                          "leave the flag out; --tensor_parallel_size is vLLM's"});
  }
};

}  // namespace anneal
