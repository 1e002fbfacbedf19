// anneal plan: what a training needs of devices, from config.json and the flags of `anneal train`.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fields.h"
#include "engine/train_request.h"

namespace anneal {

// A model that is only an idea: a Llama of these sizes.
struct ShapeOptions {
  std::optional<std::int64_t> hidden_size, intermediate_size, num_hidden_layers, num_attention_heads,
      num_key_value_heads, head_dim, vocab_size;
  bool tie_word_embeddings = false;

  static void fields(auto& c, auto field) {
    const FieldTraits at_least_1{.minimum = 1};
    field("hidden_size", c.hidden_size, "Width of the model; with it, --hf_model_id is not looked at.",
          at_least_1);
    field("intermediate_size", c.intermediate_size, "Width of the MLP. Default: 8/3 of the hidden size.",
          at_least_1);
    field("num_hidden_layers", c.num_hidden_layers, "Layers. Default: 32.", at_least_1);
    field("num_attention_heads", c.num_attention_heads, "Heads. Default: as many as have 128 elements.",
          at_least_1);
    field("num_key_value_heads", c.num_key_value_heads,
          "Heads of keys and values. Default: as many as heads.", at_least_1);
    field("head_dim", c.head_dim, "Elements of a head. Default: hidden size / heads.", at_least_1);
    field("vocab_size", c.vocab_size, "Tokens that the model knows. Default: 32000.", at_least_1);
    field("tie_word_embeddings", c.tie_word_embeddings, "The output head is the embedding.");
  }
};

struct PlanOptions {
  std::string hardware = "auto";
  std::optional<std::int64_t> devices;
  double utilisation = 0.4;
  double peak_tflops = 0;
  std::optional<std::string> device_memory;
  bool json = false;
  ShapeOptions shape;
  TrainRequest train;

  static void fields(auto& c, auto field) {
    field("hardware", c.hardware,
          "What to train on. auto: the smallest number of GPUs that the training fits on, or with --device "
          "cpu this "
          "processor.",
          FieldTraits{.choices = {"auto", "cpu", "a100-40", "a100-80", "h100", "h200", "b200"},
                      .heading = "Plan"});
    field("devices", c.devices, "How many of them. Default: the number of processes, or what fits.",
          FieldTraits{.minimum = 1, .maximum = 4096});
    field("utilisation", c.utilisation, "The share of the device's peak that the training is taken to reach.",
          FieldTraits{.minimum = 0, .maximum = 1, .exclusive_minimum = true});
    field("peak_tflops", c.peak_tflops, "TFLOP/s of one device; 0: what is known of it.",
          FieldTraits{.minimum = 0});
    field("device_memory", c.device_memory,
          "Memory of one device, such as 24GB, instead of what is known of it.");
    field("json", c.json, "Print one JSON object.");
    field("shape", c.shape, "A model without config.json");
    field("train", c.train, "");
  }

  void complete(const std::set<std::string>& given, std::vector<Problem>& problems);
};

// Returns the exit code; problems are thrown as UserError.
int run_plan(PlanOptions& options, const std::set<std::string>& given);

}  // namespace anneal
