#include "plan/sizing.h"

#include <gtest/gtest.h>

namespace anneal {
namespace {

Training llama_8b(bool full) {
  const Json config = {{"architectures", {"LlamaForCausalLM"}},
                       {"vocab_size", 128'256},
                       {"hidden_size", 4096},
                       {"intermediate_size", 14'336},
                       {"num_hidden_layers", 32},
                       {"num_attention_heads", 32},
                       {"num_key_value_heads", 8},
                       {"max_position_embeddings", 131'072},
                       {"torch_dtype", "bfloat16"}};
  Training training{.shape = shape_of(read_model_config(config, "config.json")),
                    .compute_bytes = 2,
                    .base_bytes = 2,
                    .sample_tokens = 2048,
                    .samples_of_step = 8,
                    .steps = 100};
  training.shape.trains_all = full;
  if (!full) add_adapters(training.shape, {{"q_proj", "v_proj"}, 16, 0.05});
  return training;
}

const Hardware& gpu(const std::string& name) {
  for (const auto& hardware : known_gpus())
    if (hardware.name == name) return hardware;
  throw std::out_of_range(name);
}

// Oracle: 8.03 B parameters x 16 bytes are 128 GB: more than one H100 has, less than four have.
TEST(Sizing, FindsTheSmallestSetUp) {
  const auto lora = smallest_fit(llama_8b(false), gpu("a100-40"), 0.4);
  ASSERT_TRUE(lora);
  EXPECT_EQ(lora->devices, 1);
  EXPECT_FALSE(lora->is_sharded);
  const auto full = smallest_fit(llama_8b(true), gpu("h100"), 0.4);
  ASSERT_TRUE(full);
  EXPECT_GE(full->devices, 2);
  EXPECT_TRUE(full->is_sharded);
  EXPECT_EQ(size_training(llama_8b(true), gpu("h100"), 1, 0.4).fit, Fit::kDoesNotFit);
}

// Oracle: the limits' own meaning: they fit, and one more does not.
TEST(Sizing, LimitsAreTheLargestThatFit) {
  const auto training = llama_8b(false);
  const auto sizing = size_training(training, gpu("a100-80"), 1, 0.4);
  const StepSetup setup{
      .compute_bytes = 2, .base_bytes = 2, .is_gpu = true, .runtime_bytes = gpu("a100-80").runtime_bytes};
  const auto fits = [&](std::int64_t tokens, std::int64_t kept) {
    return fit_of(step_memory(training.shape, setup, {tokens, kept}).total(), gpu("a100-80").memory_bytes) ==
           Fit::kFits;
  };
  EXPECT_TRUE(fits(sizing.most_samples * 2048, 32) && !fits((sizing.most_samples + 1) * 2048, 32));
  EXPECT_TRUE(fits(sizing.longest_sample, 0) && !fits(sizing.longest_sample + 1, 0));
  EXPECT_GT(sizing.most_samples_recomputed, sizing.most_samples);
}

// Oracle: FLOPs over the peak's share, by hand; twice the devices do twice the tokens.
TEST(Sizing, TimeFollowsFromWork) {
  const auto one = size_training(llama_8b(false), gpu("h100"), 1, 0.5);
  EXPECT_EQ(one.step_tokens, 8 * 2048);
  EXPECT_EQ(one.plan.kept_layers, 32);
  EXPECT_DOUBLE_EQ(one.seconds, 100 * one.step_flops / (989e12 * 0.5));
  EXPECT_DOUBLE_EQ(size_training(llama_8b(false), gpu("h100"), 4, 0.5).tokens_per_second,
                   4 * one.tokens_per_second);
}

// Oracle: spec.md 0.29: warn above 90 %, refuse above 120 %.
TEST(Fit, HasItsBounds) {
  EXPECT_EQ(fit_of(90, 100), Fit::kFits);
  EXPECT_EQ(fit_of(91, 100), Fit::kTight);
  EXPECT_EQ(fit_of(120, 100), Fit::kMayNotFit);
  EXPECT_EQ(fit_of(121, 100), Fit::kDoesNotFit);
}

}  // namespace
}  // namespace anneal
