#include "models/model_config.h"

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
  expect_refused(with("architectures", {"GPT2LMHeadModel"}), "LlamaForCausalLM, Qwen3ForCausalLM");
  expect_refused(with("architectures", Json::array()), "names no architecture");
  expect_refused(without("architectures"), "names no architecture");
  expect_refused(with("architectures", "LlamaForCausalLM"), "has the wrong type");
}

// Oracle: the text of the error.
TEST(ModelConfig, RefusesUnsupportedRope) {
  for (const char* kind : {"yarn", "linear", "dynamic", "longrope"})
    expect_refused(with("rope_scaling", {{"rope_type", kind}, {"factor", 2.0}}),
                   "rope scaling \"" + std::string(kind) + "\" is not supported");
  Json incomplete = kLlama3;
  incomplete.erase("high_freq_factor");
  expect_refused(with("rope_scaling", incomplete), "the key \"high_freq_factor\" is missing");
}

// Oracle: the text of the error.
TEST(ModelConfig, RefusesWhatChangesTheModel) {
  expect_refused(with("quantization_config", {{"quant_method", "bitsandbytes"}}), "the model is quantized");
  expect_refused(with("hidden_act", "gelu"), "\"hidden_act\": \"gelu\" is not supported");
  expect_refused(with("attention_bias", true), "\"attention_bias\": true is not supported");
  expect_refused(with("mlp_bias", true), "\"mlp_bias\": true is not supported");
  Json sliding = tiny_config("Qwen3ForCausalLM");
  sliding["use_sliding_window"] = true;
  expect_refused(sliding, "\"use_sliding_window\": true is not supported");
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
