#include "architecture/model_config.h"

#include <cmath>

#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

ModelConfig read(const Json& config) {
  const ScratchFolder folder;
  folder.write("config.json", config.dump());
  return read_model_config(folder.path());
}

Json with(const std::string& key, const Json& value) {
  Json config = tiny_config();
  config[key] = value;
  return config;
}

Json without(const std::string& key) {
  Json config = tiny_config();
  config.erase(key);
  return config;
}

void expect_refused(const Json& config, const std::string& part) {
  EXPECT_THAT(expect_user_error(ExitCode::kModel, part, [&] { read(config); }),
              testing::HasSubstr("config.json"));
}

const Json kLlama3 = {{"rope_type", "llama3"},
                      {"factor", 32.0},
                      {"low_freq_factor", 1.0},
                      {"high_freq_factor", 4.0},
                      {"original_max_position_embeddings", 8192}};

void expect_llama3(const ModelConfig& model) {
  EXPECT_EQ(model.rope.theta, 500000.0);
  EXPECT_EQ(model.rope.kind, "llama3");
  EXPECT_EQ(model.rope.factor, 32);
  EXPECT_EQ(model.rope.low_frequency_factor, 1);
  EXPECT_EQ(model.rope.high_frequency_factor, 4);
  EXPECT_EQ(model.rope.original_max_position_embeddings, 8192);
}

// Oracle: the values of the file.
TEST(ModelConfig, ReadsALlamaConfig) {
  const auto model = read(tiny_config());
  EXPECT_EQ(model.architecture, "LlamaForCausalLM");
  EXPECT_EQ(model.vocab_size, 37);
  EXPECT_EQ(model.hidden_size, 24);
  EXPECT_EQ(model.intermediate_size, 40);
  EXPECT_EQ(model.num_hidden_layers, 3);
  EXPECT_EQ(model.num_attention_heads, 4);
  EXPECT_EQ(model.num_key_value_heads, 2);
  EXPECT_EQ(model.head_dim, 8);
  EXPECT_EQ(model.rope.max_position_embeddings, 128);
  EXPECT_EQ(model.rms_norm_eps, 1e-5);
  EXPECT_EQ(model.rope.theta, 10000);
  EXPECT_EQ(model.rope.kind, "default");
  EXPECT_FALSE(model.tie_word_embeddings);
  EXPECT_FALSE(model.has_qk_norm);
}

// Oracle: the defaults of transformers' LlamaConfig and Qwen3Config.
TEST(ModelConfig, FallsBackAsTransformersDoes) {
  EXPECT_EQ(read(without("num_key_value_heads")).num_key_value_heads, 4);
  EXPECT_EQ(read(without("head_dim")).head_dim, 6);
  EXPECT_EQ(read(with("head_dim", nullptr)).head_dim, 6);
  EXPECT_EQ(read(without("rms_norm_eps")).rms_norm_eps, 1e-6);
  EXPECT_EQ(read(without("rope_theta")).rope.theta, 10000);
  EXPECT_FALSE(read(without("tie_word_embeddings")).tie_word_embeddings);
  Json qwen = tiny_config("Qwen3ForCausalLM");
  EXPECT_TRUE(read(qwen).has_qk_norm);
  EXPECT_EQ(read(qwen).head_dim, 8);
  qwen.erase("head_dim");
  EXPECT_EQ(read(qwen).head_dim, 128);
}

// Oracle: the same model in the keys of transformers 4, of 4 with its older name of the kind, and of 5.
TEST(ModelConfig, ReadsBothStylesOfRope) {
  Json version4 = with("rope_scaling", kLlama3);
  version4["rope_theta"] = 500000.0;
  expect_llama3(read(version4));

  Json older = version4;
  older["rope_scaling"]["type"] = "llama3";
  older["rope_scaling"].erase("rope_type");
  expect_llama3(read(older));

  Json version5 = without("rope_theta");
  version5["rope_parameters"] = kLlama3;
  version5["rope_parameters"]["rope_theta"] = 500000.0;
  expect_llama3(read(version5));

  const Json plain = {{"rope_type", "default"}, {"rope_theta", 250.0}};
  EXPECT_EQ(read(with("rope_parameters", plain)).rope.theta, 250);
  EXPECT_EQ(read(with("rope_scaling", nullptr)).rope.kind, "default");
}

// Oracle: the text of the error.
TEST(ModelConfig, RefusesUnknownArchitectures) {
  expect_refused(with("architectures", {"GPT2LMHeadModel"}), "unknown architecture GPT2LMHeadModel");
  expect_refused(with("architectures", {"GPT2LMHeadModel"}), "LlamaForCausalLM, MistralForCausalLM");
  expect_refused(with("architectures", Json::array()), "names no architecture");
  expect_refused(without("architectures"), "names no architecture");
  expect_refused(with("architectures", "LlamaForCausalLM"), "has the wrong type");
}

// Oracle: the values of the file, and the rules of transformers for what it leaves out.
TEST(ModelConfig, ReadsScaledRopes) {
  const auto rope = [](Json scaling) { return read(with("rope_scaling", scaling)).rope; };
  EXPECT_EQ(rope({{"rope_type", "linear"}, {"factor", 2.0}}).longest(), 256);
  const auto dynamic = rope({{"rope_type", "dynamic"}, {"factor", 3.0}});
  EXPECT_TRUE(dynamic.depends_on_length());
  EXPECT_EQ(dynamic.longest(), 384);
  const auto yarn = rope({{"rope_type", "yarn"},
                          {"factor", 4.0},
                          {"original_max_position_embeddings", 64},
                          {"beta_fast", 16.0}});
  EXPECT_EQ(yarn.beta_fast, 16);
  EXPECT_EQ(yarn.beta_slow, 1);
  EXPECT_EQ(yarn.longest(), 256);
  EXPECT_NEAR(yarn.attention_factor, 0.1 * std::log(4) + 1, 1e-12);
  EXPECT_EQ(rope({{"rope_type", "yarn"}, {"factor", 4.0}, {"attention_factor", 1.5}}).attention_factor, 1.5);
  const auto of_both =
      rope({{"rope_type", "yarn"}, {"factor", 4.0}, {"mscale", 2.0}, {"mscale_all_dim", 3.0}});
  EXPECT_NEAR(of_both.attention_factor, (0.2 * std::log(4) + 1) / (0.3 * std::log(4) + 1), 1e-12);
}

// Oracle: the rules of transformers' Phi3Config.
TEST(ModelConfig, ReadsPhi3) {
  Json config = tiny_config("Phi3ForCausalLM");
  config["max_position_embeddings"] = 16384;
  const std::vector<double> factors{1, 2, 3, 4};
  config["rope_scaling"] = {{"type", "su"}, {"short_factor", factors}, {"long_factor", factors}};
  const auto model = read(config);
  EXPECT_TRUE(model.is_fused);
  EXPECT_EQ(model.rope.kind, "longrope");
  EXPECT_EQ(model.rope.original_max_position_embeddings, 4096);
  EXPECT_EQ(model.rope.factor, 4);
  EXPECT_NEAR(model.rope.attention_factor, std::sqrt(1 + std::log(4) / std::log(4096)), 1e-12);
  EXPECT_EQ(model.rope.longest(), 16384);
  config["rope_scaling"]["long_factor"] = {1.0, 2.0};
  expect_refused(config, "longrope has 2 factors for 4 frequencies");
  config["rope_scaling"] = nullptr;
  config["partial_rotary_factor"] = 0.5;
  EXPECT_EQ(read(config).rope.rotary_dim, 4);
  config["resid_pdrop"] = 0.1;
  expect_refused(config, "\"resid_pdrop\": 0.1 is not supported");
}

// Oracle: the rules of transformers' MistralConfig, Qwen2Config and Qwen3Config.
TEST(ModelConfig, ReadsSlidingWindows) {
  const auto windows = [](const Json& config) {
    std::vector<std::int64_t> all;
    for (const auto& reach : read(config).reach) all.push_back(reach.window);
    return all;
  };
  constexpr auto kNone = AttentionReach::kNoWindow;
  using Windows = std::vector<std::int64_t>;
  Json mistral = tiny_config("MistralForCausalLM");
  EXPECT_EQ(windows(mistral), Windows(3, 4096));
  mistral["sliding_window"] = nullptr;
  EXPECT_EQ(windows(mistral), Windows(3, kNone));
  mistral["sliding_window"] = 0;
  expect_refused(mistral, "\"sliding_window\" is 0");
  Json qwen = tiny_config("Qwen2ForCausalLM");
  qwen["sliding_window"] = 7;
  qwen["max_window_layers"] = 1;
  EXPECT_EQ(windows(qwen), Windows(3, kNone));
  qwen["use_sliding_window"] = true;
  EXPECT_EQ(windows(qwen), (Windows{kNone, 7, 7}));
  qwen["layer_types"] = {"sliding_attention", "full_attention", "full_attention"};
  EXPECT_EQ(windows(qwen), (Windows{7, kNone, kNone}));
  qwen["layer_types"] = {"sliding_attention"};
  expect_refused(qwen, "\"layer_types\" names 1 of 3 layers");
}

// Oracle: the keys that transformers 4 and 5 write.
TEST(ModelConfig, ReadsExperts) {
  Json qwen = tiny_config("Qwen3MoeForCausalLM");
  qwen["num_experts"] = 6;
  qwen["num_experts_per_tok"] = 3;
  qwen["moe_intermediate_size"] = 16;
  qwen["norm_topk_prob"] = true;
  qwen["mlp_only_layers"] = {1};
  const auto model = read(qwen);
  EXPECT_EQ(model.experts->count, 6);
  EXPECT_EQ(model.experts->per_token, 3);
  EXPECT_EQ(model.experts->intermediate_size, 16);
  EXPECT_TRUE(model.experts->normalizes_weights);
  EXPECT_EQ(model.experts->is_sparse, (std::vector<bool>{true, false, true}));
  qwen.erase("num_experts");
  qwen["num_local_experts"] = 5;
  EXPECT_EQ(read(qwen).experts->count, 5);
  qwen["num_experts_per_tok"] = 9;
  expect_refused(qwen, "\"num_experts_per_tok\" is more than there are experts");
  Json mixtral = tiny_config("MixtralForCausalLM");
  EXPECT_EQ(read(mixtral).experts->count, 8);
  EXPECT_EQ(read(mixtral).experts->intermediate_size, 40);
  EXPECT_FALSE(read(mixtral).experts->router_aux_loss_coef);
  mixtral["output_router_logits"] = true;
  EXPECT_EQ(read(mixtral).experts->router_aux_loss_coef, 0.001);
  mixtral["router_aux_loss_coef"] = 0.02;
  EXPECT_EQ(read(mixtral).experts->router_aux_loss_coef, 0.02);
}

// Oracle: the text of the error.
TEST(ModelConfig, RefusesUnsupportedRope) {
  expect_refused(with("rope_scaling", {{"rope_type", "proportional"}, {"factor", 2.0}}),
                 "rope scaling \"proportional\" is not supported");
  expect_refused(with("rope_scaling", {{"rope_type", "linear"}}), "the key \"factor\" is missing");
  expect_refused(with("rope_scaling", {{"rope_type", "longrope"}}), "the key \"short_factor\" is missing");
  expect_refused(with("partial_rotary_factor", 0.5), "\"partial_rotary_factor\": 0.5 is not supported");
  Json incomplete = kLlama3;
  incomplete.erase("high_freq_factor");
  expect_refused(with("rope_scaling", incomplete), "the key \"high_freq_factor\" is missing");
}

// Oracle: the text of the error.
TEST(ModelConfig, RefusesWhatChangesTheModel) {
  expect_refused(with("quantization_config", {{"quant_method", "bitsandbytes"}}), "the model is quantized");
  expect_refused(with("hidden_act", "gelu"), "\"hidden_act\": \"gelu\" is not supported");
}

// Oracle: the text of the error.
TEST(ModelConfig, RefusesImpossibleSizes) {
  expect_refused(with("head_dim", 7), "head_dim is 7");
  expect_refused(with("head_dim", 0), "head_dim is 0");
  expect_refused(with("head_dim", -8), "head_dim is -8");
  expect_refused(with("num_key_value_heads", 3), "no multiple of num_key_value_heads");
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "num_key_value_heads", "max_position_embeddings"}) {
    expect_refused(with(key, 0), "\"" + std::string(key) + "\" is 0");
    expect_refused(with(key, -3), "\"" + std::string(key) + "\" is -3");
    expect_refused(with(key, "many"), "has the wrong type: \"many\"");
  }
  for (const char* key :
       {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"})
    expect_refused(without(key), "the key \"" + std::string(key) + "\" is missing");
}

// Oracle: the text of the error.
TEST(ModelConfig, RefusesFilesThatAreNoConfig) {
  const ScratchFolder folder;
  const auto error = [&] {
    return expect_user_error(ExitCode::kModel, (folder / "config.json").string(),
                             [&] { read_model_config(folder.path()); });
  };
  EXPECT_THAT(error(), testing::HasSubstr("No such file"));
  folder.write("config.json", "[1, 2]");
  EXPECT_THAT(error(), testing::HasSubstr("is not a JSON object"));
  folder.write("config.json", "{\"hidden_size\": 24");
  EXPECT_THAT(error(), testing::HasSubstr("not valid JSON"));
}

}  // namespace
}  // namespace anneal
