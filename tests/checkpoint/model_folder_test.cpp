#include "checkpoint/model_folder.h"

#include <cmath>

#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

ProcessGroup alone;

class ModelFolder : public testing::Test {
 protected:
  CausalLm trained(const Json& config = tiny_config()) const {
    write_tiny_model(folder_ / "model", config);
    CausalLm model(folder_ / "model", {at::kFloat, std::nullopt});
    model.train_all_weights();
    for (auto* parameter : model.parameters()) parameter->value.add_(0.001);
    return model;
  }
  OrderedJson config_after(const Json& config, at::ScalarType type) const {
    write_model_folder(share_of_weights(trained(config), type, alone), folder_ / "model", out_);
    return OrderedJson::parse(folder_.read("out/config.json"));
  }
  void SetUp() override { std::filesystem::create_directories(out_); }

  ScratchFolder folder_;
  const std::filesystem::path out_ = folder_ / "out";
};

// Oracle: the trained values, rounded once; loading gives them back.
TEST_F(ModelFolder, HoldsTheTrainedWeights) {
  for (const bool tied : {false, true})
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      Json config = tiny_config("Qwen3ForCausalLM");
      config["tie_word_embeddings"] = tied;
      const auto model = trained(config);
      write_model_folder(share_of_weights(model, type, alone), folder_ / "model", out_);
      const SafetensorsFile file(out_ / "model.safetensors");
      EXPECT_EQ(file.tensors().size(), tiny_weights(config).size()) << "all tensors, and no others";
      for (const auto* parameter : model.parameters())
        EXPECT_TRUE(bits_are_equal(tensor_of(file.tensors().at(parameter->name)), parameter->value.to(type)))
            << parameter->name;
      const CausalLm loaded(out_, {at::kFloat, std::nullopt});
      EXPECT_EQ(loaded.stored_dtype(), type);
      EXPECT_EQ(loaded.config.tie_word_embeddings, tied);
    }
}

// Oracle: the keys of transformers 4, of 5, of both and of neither; all else as it was, in its order.
TEST_F(ModelFolder, ConfigNamesTheDtype) {
  Json version4 = tiny_config(), version5 = tiny_config(), both = tiny_config(), neither = tiny_config();
  version5.erase("torch_dtype");
  version5["dtype"] = "float32";
  both["dtype"] = "float32";
  neither.erase("torch_dtype");
  for (const auto& [type, name] : {std::pair{at::kBFloat16, "bfloat16"}, std::pair{at::kFloat, "float32"}}) {
    EXPECT_EQ(config_after(version4, type)["torch_dtype"], name);
    EXPECT_FALSE(config_after(version4, type).contains("dtype"));
    EXPECT_EQ(config_after(version5, type)["dtype"], name);
    EXPECT_FALSE(config_after(version5, type).contains("torch_dtype"));
    EXPECT_EQ(config_after(both, type)["dtype"], name);
    EXPECT_EQ(config_after(both, type)["torch_dtype"], name);
    EXPECT_EQ(config_after(neither, type)["torch_dtype"], name);
  }
  const auto model = trained();
  folder_.write("model/config.json", R"({"z": 1, "torch_dtype": "float32", "a": {"y": null, "b": 0.5}})");
  write_model_folder(share_of_weights(model, at::kFloat, alone), folder_ / "model", out_);
  EXPECT_EQ(OrderedJson::parse(folder_.read("out/config.json")).dump(),
            R"({"z":1,"torch_dtype":"float32","a":{"y":null,"b":0.5}})");
}

// Oracle: the files that were there, byte for byte; others are left.
TEST_F(ModelFolder, CopiesTokenizerAndGenerationFiles) {
  const auto model = trained();
  folder_.write("model/tokenizer.json", "{\"a\":\r\n1}\n");
  folder_.write("model/chat_template.jinja", "{{ x }}");
  folder_.write("model/generation_config.json", "{}");
  folder_.write("model/README.md", "no");
  folder_.write("model/additional_chat_templates/tool_use.jinja", "{{ tools }}");
  folder_.write("model/additional_chat_templates/notes.md", "no");
  write_model_folder(share_of_weights(model, at::kFloat, alone), folder_ / "model", out_);
  copy_tokenizer_files(folder_ / "model", out_);
  EXPECT_EQ(folder_.read("out/tokenizer.json"), "{\"a\":\r\n1}\n");
  EXPECT_EQ(folder_.read("out/chat_template.jinja"), "{{ x }}");
  EXPECT_EQ(folder_.read("out/generation_config.json"), "{}");
  EXPECT_EQ(folder_.read("out/additional_chat_templates/tool_use.jinja"), "{{ tools }}");
  EXPECT_FALSE(std::filesystem::exists(out_ / "additional_chat_templates/notes.md"));
  EXPECT_FALSE(std::filesystem::exists(out_ / "README.md"));
  EXPECT_FALSE(std::filesystem::exists(out_ / "vocab.json"));
}

// Oracle: the text of the error, and an empty folder.
TEST_F(ModelFolder, NeverWritesValuesThatAreNotFinite) {
  const auto model = trained();
  model.parameters()[2]->value[0][0] = NAN;
  expect_user_error(ExitCode::kNumerical, model.parameters()[2]->name, [&] {
    write_model_folder(share_of_weights(model, at::kFloat, alone), folder_ / "model", out_);
  });
  EXPECT_TRUE(std::filesystem::is_empty(out_));
}

// Oracle: the text of the error; a float32 value may be beyond the range of the dtype that is saved.
TEST_F(ModelFolder, RoundingBeyondTheRangeIsSeen) {
  const auto model = trained();
  model.parameters()[0]->value[0][0] = 3.4e38;  // rounds to infinity in bfloat16
  expect_user_error(ExitCode::kNumerical, model.parameters()[0]->name, [&] {
    write_model_folder(share_of_weights(model, at::kBFloat16, alone), folder_ / "model", out_);
  });
}

}  // namespace
}  // namespace anneal
