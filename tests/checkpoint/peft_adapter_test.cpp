#include "checkpoint/peft_adapter.h"

#include <cmath>

#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

using testing::HasSubstr;

class PeftAdapter : public testing::Test {
 protected:
  void SetUp() override {
    write_tiny_model(folder_ / "model", tiny_config());
    std::filesystem::create_directories(adapter_);
  }
  CausalLm load_model(at::ScalarType compute = at::kFloat) const {
    return {folder_ / "model", {compute, std::nullopt}};
  }

  // A model whose adapter has been moved away from its start.
  CausalLm trained() const { return trained(shape_); }
  CausalLm trained(const LoraShape& shape) const {
    auto model = load_model();
    add_lora(model, shape, 1);
    for (auto* parameter : model.parameters())
      parameter->value.copy_(random_tensor(parameter->value.sizes(), hash_name(parameter->name)));
    return model;
  }
  void write_adapter() const {
    write_peft_adapter(trained_values(trained()), shape_, "base/model", adapter_);
  }
  Json written_config() const { return Json::parse(folder_.read("adapter/adapter_config.json")); }
  Tensors written_tensors() const {
    Tensors tensors;
    const SafetensorsFile file(adapter_ / "adapter_model.safetensors");
    for (const auto& [name, view] : file.tensors()) tensors[name] = tensor_of(view).clone();
    return tensors;
  }
  std::string config_error(const std::string& part, const Json& config) {
    folder_.write("adapter/adapter_config.json", config.dump());
    return expect_user_error(ExitCode::kModel, part, [&] { read_peft_config(adapter_); });
  }
  std::string load_error(const std::string& part, const Tensors& tensors) {
    return load_error(part, tensors, shape_);
  }
  std::string load_error(const std::string& part, const Tensors& tensors, const LoraShape& shape) {
    write_tensors(adapter_ / "adapter_model.safetensors", tensors);
    auto model = load_model();
    return expect_user_error(ExitCode::kModel, part, [&] { load_peft_adapter(model, shape, adapter_); });
  }

  void expect_round_trip(const LoraShape& wanted_shape);

  ScratchFolder folder_;
  const std::filesystem::path adapter_ = folder_ / "adapter";
  const LoraShape shape_{4, 8, 0.1, {"v_proj", "q_proj", "down_proj"}};
  const std::string kTensor = "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight";
};

// Oracle: what was written, bit for bit.
TEST_F(PeftAdapter, RoundTrip) { expect_round_trip(shape_); }
TEST_F(PeftAdapter, RoundTripOfDoraAndRsLora) {
  auto shape = shape_;
  shape.use_dora = shape.use_rslora = true;
  expect_round_trip(shape);
}

void PeftAdapter::expect_round_trip(const LoraShape& wanted_shape) {
  const auto written = trained(wanted_shape);
  write_peft_adapter(trained_values(written), wanted_shape, "base/model", adapter_);
  const auto shape = read_peft_config(adapter_);
  EXPECT_EQ(shape.use_dora, wanted_shape.use_dora);
  EXPECT_EQ(shape.use_rslora, wanted_shape.use_rslora);
  EXPECT_EQ(shape.rank, 4);
  EXPECT_EQ(shape.alpha, 8);
  EXPECT_EQ(shape.dropout, 0.1);
  EXPECT_EQ(shape.targets, (std::vector<std::string>{"down_proj", "q_proj", "v_proj"}));
  for (const auto compute : {at::kFloat, at::kBFloat16}) {
    auto loaded = load_model(compute);
    load_peft_adapter(loaded, shape, adapter_);
    const auto wanted = written.parameters(), actual = loaded.parameters();
    ASSERT_EQ(actual.size(), wanted.size());
    for (std::size_t at = 0; at < actual.size(); ++at) {
      EXPECT_EQ(actual[at]->name, wanted[at]->name);
      EXPECT_TRUE(bits_are_equal(actual[at]->value, wanted[at]->value)) << actual[at]->name;
      const auto type = actual[at]->name.ends_with("magnitude_vector") ? at::kFloat : compute;
      EXPECT_TRUE(bits_are_equal(actual[at]->compute, wanted[at]->value.to(type))) << actual[at]->name;
    }
  }
}

// Oracle: the text of the file, written by hand as PEFT writes it.
TEST_F(PeftAdapter, ConfigText) {
  write_adapter();
  EXPECT_EQ(folder_.read("adapter/adapter_config.json"), R"({
  "alpha_pattern": {},
  "auto_mapping": null,
  "base_model_name_or_path": "base/model",
  "bias": "none",
  "fan_in_fan_out": false,
  "inference_mode": true,
  "init_lora_weights": true,
  "layer_replication": null,
  "layers_pattern": null,
  "layers_to_transform": null,
  "loftq_config": {},
  "lora_alpha": 8,
  "lora_dropout": 0.1,
  "megatron_config": null,
  "megatron_core": "megatron.core",
  "modules_to_save": null,
  "peft_type": "LORA",
  "r": 4,
  "rank_pattern": {},
  "revision": null,
  "target_modules": [
    "down_proj",
    "q_proj",
    "v_proj"
  ],
  "task_type": "CAUSAL_LM",
  "use_dora": false,
  "use_rslora": false
}
)");
}

// Oracle: the values by hand.
TEST_F(PeftAdapter, ConfigValues) {
  const auto config_of = [&](double alpha, const std::vector<std::string>& targets) {
    auto model = load_model();
    const LoraShape shape{4, alpha, 0, targets};
    add_lora(model, shape, 1);
    write_peft_adapter(trained_values(model), shape, "m", adapter_);
    return written_config();
  };
  EXPECT_TRUE(config_of(32, {"q_proj"})["lora_alpha"].is_number_integer());
  EXPECT_EQ(config_of(2.5, {"q_proj"})["lora_alpha"], 2.5);
  EXPECT_EQ(config_of(8, {"all-linear"})["target_modules"], "all-linear");
  EXPECT_EQ(config_of(8, {"v_proj", "q_proj", "v_proj"})["target_modules"], Json({"q_proj", "v_proj"}));
  EXPECT_EQ(read_peft_config(adapter_).targets, (std::vector<std::string>{"q_proj", "v_proj"}));
}

// Oracle: the names, dtypes and shapes of PEFT by hand.
TEST_F(PeftAdapter, TensorsAreFloat32UnderPeftsNames) {
  write_adapter();
  const auto tensors = written_tensors();
  EXPECT_EQ(tensors.size(), 3U * 3 * 2);
  EXPECT_EQ(tensors.at(kTensor).scalar_type(), at::kFloat);
  EXPECT_EQ(tensors.at(kTensor).sizes(), (at::IntArrayRef{4, 40}));
  EXPECT_EQ(tensors.at("base_model.model.model.layers.2.self_attn.v_proj.lora_B.weight").sizes(),
            (at::IntArrayRef{16, 4}));
}

// Oracle: the same call again.
TEST_F(PeftAdapter, BytesAreDeterministic) {
  write_adapter();
  const auto bytes = folder_.read("adapter/adapter_model.safetensors");
  write_adapter();
  EXPECT_EQ(folder_.read("adapter/adapter_model.safetensors"), bytes);
}

// Oracle: the text of the error.
TEST_F(PeftAdapter, RefusesWhatItDoesNotCompute) {
  write_adapter();
  const Json good = written_config();
  const std::pair<const char*, Json> cases[] = {{"init_lora_weights", "pissa_niter_4"},
                                                {"alora_invocation_tokens", {1, 2}},
                                                {"bias", "all"},
                                                {"bias", "lora_only"},
                                                {"lora_bias", true},
                                                {"modules_to_save", {"lm_head"}},
                                                {"trainable_token_indices", {1}}};
  for (const auto& [key, value] : cases) {
    Json config = good;
    config[key] = value;
    EXPECT_THAT(config_error("\"" + std::string(key) + "\": " + value.dump() + " is not supported", config),
                HasSubstr("adapter_config.json"));
  }
  const auto with = [&](const char* key, const Json& value) {
    Json config = good;
    config[key] = value;
    return config;
  };
  config_error("\"fan_in_fan_out\": true is not supported", with("fan_in_fan_out", true));
  for (const Json& layers : {Json(0), Json({0, 1})})
    config_error("\"layers_to_transform\" or", with("layers_to_transform", layers));
  config_error("\"exclude_modules\" is not supported", with("exclude_modules", {"q_proj"}));
  config_error("\"rank_pattern\": \"(\" is not a regular", with("rank_pattern", {{"(", 4}}));
  config_error("\"rank_pattern\": has no positive number", with("rank_pattern", {{"q_proj", 2.5}}));
  config_error("\"alpha_pattern\": has no positive number", with("alpha_pattern", {{"q_proj", 0}}));
  Json other = good;
  other["peft_type"] = "IA3";
  config_error("peft_type \"IA3\" is not supported", other);
}

// Oracle: PEFT's rules by hand: alpha / sqrt(r), and the first pattern that matches the path or its ending.
TEST_F(PeftAdapter, RsLoraAndPatterns) {
  folder_.write("adapter/adapter_config.json",
                R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"],
                    "use_rslora": true, "rank_pattern": {"layers.1.self_attn.q_proj": 16, "[qk]_proj": 9},
                    "alpha_pattern": {"layers\\.[02]\\..*v_proj": 3}})");
  const auto shape = read_peft_config(adapter_);
  auto model = load_model();
  add_lora(model, shape, 1);
  const auto expect = [&](const Linear& linear, std::int64_t rank, double scale) {
    ASSERT_TRUE(linear.lora);
    EXPECT_EQ(linear.lora->a_RI.value.size(0), rank) << linear.name;
    EXPECT_EQ(linear.lora->b_OR.value.size(1), rank) << linear.name;
    EXPECT_DOUBLE_EQ(linear.lora->scale, scale) << linear.name;
  };
  model.for_each_linear([&](const Linear& linear) {
    if (linear.name == "model.layers.1.self_attn.q_proj") expect(linear, 16, 2);
    if (linear.name == "model.layers.0.self_attn.q_proj") expect(linear, 9, 8.0 / 3);
    if (linear.name == "model.layers.1.self_attn.v_proj") expect(linear, 4, 4);
    if (linear.name == "model.layers.2.self_attn.v_proj") expect(linear, 4, 1.5);
  });
  write_peft_adapter(trained_values(model), shape, "m", adapter_);
  const auto again = read_peft_config(adapter_);
  EXPECT_TRUE(again.use_rslora);
  EXPECT_EQ(again.rank_pattern, shape.rank_pattern);
  EXPECT_EQ(again.alpha_pattern, shape.alpha_pattern);
}

// Oracle: the text of the error.
TEST_F(PeftAdapter, RefusesDamagedConfigs) {
  write_adapter();
  const Json good = written_config();
  const auto with = [&](const char* key, const Json& value) {
    Json config = good;
    config[key] = value;
    return config;
  };
  config_error("\"r\" is 0", with("r", 0));
  config_error("the key \"r\" has the wrong type", with("r", "four"));
  config_error("the key \"target_modules\" has the wrong type", with("target_modules", 3));
  config_error("is not a JSON object", Json::array());
  std::filesystem::remove(adapter_ / "adapter_config.json");
  expect_user_error(ExitCode::kModel, "adapter_config.json", [&] { read_peft_config(adapter_); });
}

// Oracle: PEFT's defaults: rank 8, alpha 8, no dropout; keys that newer versions add change nothing.
TEST_F(PeftAdapter, ConfigDefaults) {
  folder_.write(
      "adapter/adapter_config.json",
      R"({"peft_type": "LORA", "target_modules": "all-linear", "corda_config": null, "use_qalora": false})");
  const auto shape = read_peft_config(adapter_);
  EXPECT_EQ(shape.rank, 8);
  EXPECT_EQ(shape.alpha, 8);
  EXPECT_EQ(shape.dropout, 0);
  EXPECT_EQ(shape.targets, std::vector<std::string>{"all-linear"});
}

// Oracle: PEFT's targets for Llama, and its methods' own settings, where a file names no targets.
TEST_F(PeftAdapter, ConfigWithoutTargets) {
  for (const bool dora : {false, true}) {
    folder_.write("adapter/adapter_config.json", Json({{"peft_type", "LORA"},
                                                       {"r", 64},
                                                       {"lora_alpha", 64},
                                                       {"target_modules", nullptr},
                                                       {"lora_bias", false},
                                                       {"use_dora", dora},
                                                       {"use_rslora", !dora}})
                                                     .dump());
    const auto shape = read_peft_config(adapter_);
    EXPECT_EQ(shape.targets, (std::vector<std::string>{"q_proj", "v_proj"}));
    EXPECT_EQ(shape.use_dora, dora);
    EXPECT_EQ(shape.scale_of("model.layers.0.self_attn.q_proj"), dora ? 1 : 8);
  }
}

// Oracle: the text of the error names the tensor.
TEST_F(PeftAdapter, RefusesMagnitudesThatDoNotFit) {
  auto shape = shape_;
  shape.use_dora = true;
  write_peft_adapter(trained_values(trained(shape)), shape, "m", adapter_);
  const std::string name = "base_model.model.model.layers.0.mlp.down_proj.lora_magnitude_vector";
  const auto good = written_tensors();
  auto tensors = good;
  tensors.erase(name);
  load_error("tensor '" + name + "' is missing", tensors, shape);
  for (const auto& sizes : {std::vector<std::int64_t>{23}, {24, 1}}) {
    tensors[name] = random_tensor(sizes, 1);
    load_error("tensor '" + name + "' has another shape", tensors, shape);
  }
  load_error("belong to no targeted module", good, shape_);
}

// Oracle: the text of the error names the tensor.
TEST_F(PeftAdapter, RefusesTensorsThatDoNotFit) {
  write_adapter();
  const auto good = written_tensors();
  auto tensors = good;
  tensors.erase(kTensor);
  EXPECT_THAT(load_error("tensor '" + kTensor + "' is missing", tensors),
              HasSubstr("adapter_model.safetensors"));
  tensors = good;
  tensors[kTensor] = random_tensor({5, 40}, 1);
  load_error("tensor '" + kTensor + "' has another shape", tensors);
  tensors = good;
  tensors[kTensor] = good.at(kTensor).clone();
  tensors[kTensor][1][2] = NAN;
  load_error("tensor '" + kTensor + "' holds values that are not finite", tensors);
  tensors = good;
  tensors["base_model.model.lm_head.lora_A.weight"] = random_tensor({4, 24}, 1);
  load_error("holds 1 tensors that belong to no targeted module", tensors);
  folder_.write("adapter/adapter_model.safetensors", "short");
  auto model = load_model();
  expect_user_error(ExitCode::kModel, "adapter_model.safetensors",
                    [&] { load_peft_adapter(model, shape_, adapter_); });
}

// Oracle: the text of the error; nothing is written.
TEST_F(PeftAdapter, NeverWritesValuesThatAreNotFinite) {
  auto model = trained();
  model.parameters()[3]->value[0][0] = INFINITY;
  expect_user_error(ExitCode::kNumerical, model.parameters()[3]->name,
                    [&] { write_peft_adapter(trained_values(model), shape_, "m", adapter_); });
  EXPECT_TRUE(std::filesystem::is_empty(adapter_));
}

}  // namespace
}  // namespace anneal
