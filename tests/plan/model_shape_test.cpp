#include "plan/model_shape.h"

#include <gtest/gtest.h>

#include "plan/flops.h"
#include "plan/step_memory.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

const std::vector<std::string> kSeven{"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                      "gate_proj", "up_proj", "down_proj"};

// Qwen3-8B, as its config.json is published.
Json qwen3_8b() {
  return {{"architectures", {"Qwen3ForCausalLM"}},
          {"vocab_size", 151'936},
          {"hidden_size", 4096},
          {"intermediate_size", 12'288},
          {"num_hidden_layers", 36},
          {"num_attention_heads", 32},
          {"num_key_value_heads", 8},
          {"head_dim", 128},
          {"max_position_embeddings", 40'960},
          {"tie_word_embeddings", false},
          {"torch_dtype", "bfloat16"}};
}

// Mixtral-8x7B.
Json mixtral() {
  return {{"architectures", {"MixtralForCausalLM"}},
          {"vocab_size", 32'000},
          {"hidden_size", 4096},
          {"intermediate_size", 14'336},
          {"num_hidden_layers", 32},
          {"num_attention_heads", 32},
          {"num_key_value_heads", 8},
          {"head_dim", 128},
          {"max_position_embeddings", 32'768},
          {"num_local_experts", 8},
          {"num_experts_per_tok", 2},
          {"torch_dtype", "bfloat16"}};
}

ModelShape shape(const Json& config) { return shape_of(read_model_config(config, "config.json")); }

// Oracle: the numbers that the models are published with; rank 32 on seven projections, added by hand: a
// layer has (4096 + 4096) x 2 of q and o, (4096 + 1024) x 2 of k and v, (4096 + 12288) x 3 of the MLP.
TEST(ModelShape, CountsParameters) {
  auto qwen = shape(qwen3_8b());
  EXPECT_EQ(qwen.base_parameters(), 8'190'735'360);
  add_adapters(qwen, {kSeven, 32, 0.1});
  EXPECT_EQ(qwen.trained_parameters(), 36 * 32 * (8192 * 2 + 5120 * 2 + 16'384 * 3));
  EXPECT_EQ(qwen.trained_parameters(), 87'293'952);
  qwen.trains_all = true;
  EXPECT_EQ(qwen.trained_parameters(), 8'190'735'360);
  auto experts = shape(mixtral());
  EXPECT_EQ(experts.base_parameters(), 46'702'792'704);
  add_adapters(experts, {{"all-linear"}, 8, 0});
  EXPECT_EQ(experts.trained_parameters(), 32 * 8 * (8192 * 2 + 5120 * 2 + 8 * 3 * (4096 + 14'336)));
}

// Oracle: by hand, in units of a token: 4 operations a frozen weight, 6 of one of the adapter, 12 of an
// element of the heads for each pair; of experts two of eight.
TEST(ModelShape, CountsFlops) {
  auto qwen = shape(qwen3_8b());
  add_adapters(qwen, {kSeven, 32, 0.1});
  const double layer = 2.0 * 4096 * 4096 + 2.0 * 4096 * 1024 + 3.0 * 4096 * 12'288;
  EXPECT_DOUBLE_EQ(flop_rates(qwen).per_token, 36 * 4 * layer + 6 * 87'293'952.0);
  EXPECT_DOUBLE_EQ(flop_rates(qwen).per_pair, 36 * 12.0 * 4096);
  EXPECT_DOUBLE_EQ(flop_rates(qwen).per_trained, 4 * 151'936.0 * 4096);
  const double sample = 10 * flop_rates(qwen).per_token + 55 * 36 * 12.0 * 4096 + 6 * 4 * 151'936.0 * 4096;
  EXPECT_DOUBLE_EQ(flop_rates(qwen).of_sample(10, 6), sample);
  const double forward = 10 * (2 * layer + 2 * 87'293'952.0 / 36) + 55 * 4.0 * 4096;
  EXPECT_DOUBLE_EQ(recomputed_flops(qwen, 10, 3), 3 * forward);
  const double expert = 2.0 * 4096 * 4096 + 2.0 * 4096 * 1024 + 2 * 3.0 * 4096 * 14'336 + 8 * 4096;
  EXPECT_DOUBLE_EQ(flop_rates(shape(mixtral())).per_token, 32 * 4 * expert);
}

// Oracle: spec.md's estimates of Qwen3-8B: 16.4 GB of bf16 weights, 131 GB of states of full fine-tuning; the
// bytes by hand.
TEST(StepMemory, StatesOfQwen) {
  auto qwen = shape(qwen3_8b());
  add_adapters(qwen, {kSeven, 32, 0.1});
  StepSetup setup{.compute_bytes = 2, .base_bytes = 2};
  const auto lora = step_memory(qwen, setup, {0, 0});
  EXPECT_EQ(lora.weights, 2 * 8'190'735'360);
  EXPECT_EQ(lora.adapter, 6 * 87'293'952);
  EXPECT_EQ(lora.gradients, 4 * 87'293'952);
  EXPECT_EQ(lora.optimizer, 8 * 87'293'952);
  qwen.trains_all = true;
  EXPECT_EQ(step_memory(qwen, setup, {0, 0}).states(), 18 * 8'190'735'360);
  setup.compute_bytes = 4;
  EXPECT_EQ(step_memory(qwen, setup, {0, 0}).states(), 16 * 8'190'735'360);
  setup.ranks = 8;
  setup.is_sharded = true;
  EXPECT_EQ(step_memory(qwen, setup, {0, 0}).states(), 2 * 8'190'735'360);
}

// Oracle: by hand. Of a token bf16 2 x 4096 x 2 around attention, queries and output 2 x 4096, keys and
// values 2 x 1024, gate and up 2 x 12288, seven times rank 32, and 32 float32 of log-sum-exp.
TEST(StepMemory, ActivationsOfQwen) {
  auto qwen = shape(qwen3_8b());
  add_adapters(qwen, {kSeven, 32, 0.1});
  const std::int64_t kept = 2 * (2 * 4096 + 2 * 4096 + 2 * 1024 + 2 * 12'288 + 7 * 32) + 32 * 4;
  EXPECT_EQ(kept_bytes_per_token(qwen, 2), kept);
  const StepSetup setup{.compute_bytes = 2, .base_bytes = 2};
  const auto all = step_memory(qwen, setup, {2048, 36}), none = step_memory(qwen, setup, {2048, 0});
  EXPECT_EQ(all.activations - none.activations, 2048 * 35 * (kept - 2 * 4096));
  EXPECT_EQ(all.logits, 256 * 151'936 * 2);
  // The head's: the last output, of trained rows three tensors, if all are trained.
  EXPECT_EQ(all.at_work, 2048 * 2 * 4 * 4096);
  // On a GPU there is a tensor of what was dropped, and there are ATen's six of float32: the normed input,
  // the activation, its gradient and that one; less the logits, which are gone.
  const StepSetup gpu{.compute_bytes = 2, .base_bytes = 2, .is_gpu = true};
  EXPECT_EQ(step_memory(qwen, gpu, {2048, 36}).at_work,
            2048 * (2 * (4096 + 3 * 12'288) + 6 * 4 * 12'288) - all.logits);
}

// Oracle: the module names of transformers.
TEST(ModelShape, ATargetThatHitsNothingIsRefused) {
  auto qwen = shape(qwen3_8b());
  expect_user_error(ExitCode::kUsage, "\"c_attn\" hits no linear layer", [&] {
    add_adapters(qwen, {{"c_attn"}, 8, 0});
  });
  add_adapters(qwen, {{"c_attn", "o_proj"}, 8, 0, false, /*allows_missing=*/true});
  EXPECT_EQ(qwen.trained_parameters(), 36 * 8 * 8192);
}

}  // namespace
}  // namespace anneal
