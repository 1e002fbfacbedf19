#include "engine/conversion_check.h"

#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

using testing::HasSubstr;

// A model, an adapter of it, and the folder of both merged.
class ConversionCheck : public testing::Test {
 protected:
  void SetUp() override {
    write_tiny_model(model_, config_);
    std::filesystem::create_directories(adapter_);
    std::filesystem::create_directories(merged_);
    write_tensors(adapter_ / "adapter_model.safetensors",
                  {{kModule + ".lora_A.weight", random_tensor({4, 24}, 1)},
                   {kModule + ".lora_B.weight", random_tensor({40, 4}, 2)}});
    folder_.write(
        "adapter/adapter_config.json",
        R"({"peft_type": "LORA", "r": 4, "lora_alpha": 6, "target_modules": ["layers.1.mlp.up_proj"]})");
    converted().write(merged_, 1 << 30, [](std::size_t, std::int64_t) {});
  }
  ConvertedModel converted() const { return {model_, adapter_, std::nullopt}; }
  // One weight of the written folder, changed by `amount`.
  void damage(const std::string& name, double amount) const {
    Tensors tensors;
    {
      const SafetensorsFile file(merged_ / "model.safetensors");
      for (const auto& [tensor, view] : file.tensors()) tensors[tensor] = tensor_of(view).clone();
    }
    tensors.at(name)[0][0] += amount;
    write_tensors(merged_ / "model.safetensors", tensors);
  }

  ScratchFolder folder_;
  const Json config_ = tiny_config();
  const std::filesystem::path model_ = folder_ / "model", adapter_ = folder_ / "adapter",
                              merged_ = folder_ / "merged";
  const std::string kModule = "base_model.model.model.layers.1.mlp.up_proj";
  const std::string kWeight = "model.layers.1.mlp.up_proj.weight";
};

// Oracle: a folder that is right, and the same with one weight changed.
TEST_F(ConversionCheck, ReadsTensorsBack) {
  EXPECT_THAT(verify_tensors(converted(), merged_), HasSubstr(kWeight));
  damage(kWeight, 1e-6);
  expect_user_error(ExitCode::kModel, "tensor '" + kWeight + "' is not what was written",
                    [&] { verify_tensors(converted(), merged_); });
}

// Oracle: a folder that is right, the base without its adapter, and one weight changed.
TEST_F(ConversionCheck, ComparesLogits) {
  const auto right = compare_logits(merged_, model_, adapter_);
  EXPECT_TRUE(right.agrees) << right.line;
  EXPECT_THAT(right.line, HasSubstr("largest logit difference to base + adapter over 32 tokens: "));
  EXPECT_FALSE(compare_logits(model_, model_, adapter_).agrees) << "the adapter is not merged";
  EXPECT_TRUE(compare_logits(model_, model_, std::nullopt).agrees);
  damage("lm_head.weight", 0.1);
  EXPECT_FALSE(compare_logits(merged_, model_, adapter_).agrees);
}

// Oracle: the text; such a model can be converted all the same.
TEST_F(ConversionCheck, SaysWhereItCannotCompare) {
  folder_.write("model/config.json", R"({"architectures": ["MambaForCausalLM"]})");
  const auto check = compare_logits(merged_, model_, adapter_);
  EXPECT_TRUE(check.agrees);
  EXPECT_THAT(check.line, HasSubstr("logits: not compared"));
}

}  // namespace
}  // namespace anneal
