// How text is generated: the sampling of vLLM, and limits. Free of torch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/fields.h"

namespace anneal {

struct GenerateOptions {
  double temperature = 0.1;
  std::int64_t top_k = -1;
  double top_p = 0.95;
  std::int64_t max_tokens = 512;
  std::int64_t max_model_len = 8192;
  std::int64_t batch_size = 128;
  std::int64_t seed = 16257;
  std::vector<std::string> stop;
  // No options of their own: tokens that end the text beside the tokenizer's, and the share of the free
  // memory that keys and values may take.
  std::vector<std::int32_t> stop_ids;
  double memory_share = 0.9;

  static void fields(auto& c, auto field) {
    field("temperature", c.temperature, "0: greedy. Sampling takes at least 0.01.",
          FieldTraits{.minimum = 0});
    field("top_k", c.top_k, "Sample among the k likeliest tokens; 0 or -1: all.", FieldTraits{.minimum = -1});
    field("top_p", c.top_p, "Sample among the likeliest tokens that make up this share of the probability.",
          FieldTraits{.minimum = 0, .maximum = 1, .exclusive_minimum = true});
    field("max_tokens", c.max_tokens, "New tokens of a prompt, at the most.", FieldTraits{.minimum = 1});
    field("max_model_len", c.max_model_len,
          "Tokens of prompt and text together, at the most; the model's limit counts too.",
          FieldTraits{.minimum = 1});
    field("batch_size", c.batch_size, "Prompts that run at a time. Changes speed and memory, not the text.",
          FieldTraits{.minimum = 1});
    field("seed", c.seed, "Seed of the sampling.");
    field("stop", c.stop, "A string that ends the text, which stays without it.");
  }

  void validate(std::vector<Problem>& problems) const {
    for (const auto& text : stop)
      if (text.empty()) problems.push_back({"is empty", "--stop", "give the string that ends a text"});
  }
};

}  // namespace anneal
