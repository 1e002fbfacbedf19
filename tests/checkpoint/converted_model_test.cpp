#include "checkpoint/converted_model.h"

#include <ATen/ops/mm.h>

#include "checkpoint/conversion_record.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

class ConvertedModelTest : public testing::Test {
 protected:
  void write_adapter(const Tensors& tensors) {
    std::filesystem::create_directories(adapter_);
    write_tensors(adapter_ / "adapter_model.safetensors", tensors);
    folder_.write(
        "adapter/adapter_config.json",
        R"({"peft_type": "LORA", "r": 4, "lora_alpha": 6, "target_modules": ["layers.1.mlp.up_proj"]})");
  }
  Tensors update() const {
    return {{kModule + ".lora_A.weight", random_tensor({4, 24}, 1)},
            {kModule + ".lora_B.weight", random_tensor({40, 4}, 2)}};
  }
  ConvertedModel convert(at::ScalarType stored, std::optional<at::ScalarType> dtype = std::nullopt) {
    write_tiny_model(folder_ / "model", tiny_config(), stored);
    write_adapter(update());
    return {folder_ / "model", adapter_, dtype};
  }
  const TensorPlan& plan_of(const ConvertedModel& model, const std::string& name) const {
    return *std::find_if(model.tensors().begin(), model.tensors().end(),
                         [&](const auto& plan) { return plan.name == name; });
  }

  ScratchFolder folder_;
  const std::filesystem::path adapter_ = folder_ / "adapter";
  const std::string kModule = "base_model.model.model.layers.1.mlp.up_proj";
  const std::string kWeight = "model.layers.1.mlp.up_proj.weight";
};

// Oracle: W + alpha / r * B A in float64, rounded once; all others bit for bit.
TEST_F(ConvertedModelTest, RoundsTheSumOnce) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const auto model = convert(type);
    for (const auto& [name, weight] : tiny_weights(tiny_config(), type)) {
      const auto made = model.tensor(plan_of(model, name));
      EXPECT_EQ(made.scalar_type(), type);
      if (name != kWeight) {
        EXPECT_TRUE(bits_are_equal(made, weight)) << name;
        continue;
      }
      const auto tensors = update();
      const auto product = at::mm(in_double(tensors.at(kModule + ".lora_B.weight")),
                                  in_double(tensors.at(kModule + ".lora_A.weight")));
      const auto exact = in_double(weight) + product * 1.5;
      const auto half_unit = exact.abs() * (type == at::kFloat  ? 0x1p-24
                                            : type == at::kHalf ? 0x1p-11
                                                                : 0x1p-8);
      EXPECT_TRUE((in_double(made) - exact).abs().le(half_unit + 1e-6).all().item<bool>());
      EXPECT_GT((in_double(made) - in_double(weight)).abs().max().item<double>(), 0.1);
    }
  }
}

// Oracle: the order in which the base's file holds its tensors.
TEST_F(ConvertedModelTest, TensorsStandInTheOrderOfTheBase) {
  const auto model = convert(at::kFloat);
  const std::byte* last = nullptr;
  for (const auto& plan : model.tensors()) {
    const auto* place = model.weights().tensor(plan.name).bytes.data();
    EXPECT_GT(place, last) << plan.name;
    last = place;
  }
  EXPECT_EQ(model.tensors().size(), tiny_weights(tiny_config()).size());
}

// Oracle: the adapter's tensors decide; some programs write no targets.
TEST_F(ConvertedModelTest, TargetsNeedNotBeNamed) {
  convert(at::kFloat);
  folder_.write("adapter/adapter_config.json", R"({"r": 4, "lora_alpha": 6, "target_modules": null})");
  const ConvertedModel model(folder_ / "model", adapter_, std::nullopt);
  EXPECT_EQ(model.merge()->modules(), 1U);
  EXPECT_TRUE(model.merge()->changes(kWeight));
  // One that is to be attached goes by PEFT's targets.
  auto loaded = CausalLm(folder_ / "model", {at::kFloat, std::nullopt});
  expect_user_error(ExitCode::kModel, "q_proj.lora_A.weight' is missing",
                    [&] { load_peft_adapter(loaded, read_peft_config(adapter_), adapter_); });
}

// Oracle: the text of the error.
TEST_F(ConvertedModelTest, RefusesUpdatesThatAreNone) {
  write_tiny_model(folder_ / "model", tiny_config());
  const auto refuse = [&](const std::string& part, const Tensors& tensors) {
    write_adapter(tensors);
    return expect_user_error(ExitCode::kModel, part,
                             [&] { ConvertedModel(folder_ / "model", adapter_, std::nullopt); });
  };
  auto tensors = update();
  tensors["base_model.model.model.embed_tokens.lora_embedding_A"] = random_tensor({4, 37}, 1);
  refuse("'base_model.model.model.embed_tokens.lora_embedding_A' is not the low-rank update", tensors);
  tensors = update();
  tensors[kModule + ".lora_B.weight"] = random_tensor({40}, 1);
  refuse("lora_B.weight' is not the low-rank update of a weight", tensors);
  tensors = update();
  tensors[kModule + ".lora_magnitude_vector"] = random_tensor({40}, 1);
  refuse("lora_magnitude_vector' is not", tensors);
  refuse("holds no tensors", {});
  const auto refuse_dora = [&](const std::string& part, const Tensors& wrong) {
    write_adapter(wrong);
    auto config = Json::parse(folder_.read("adapter/adapter_config.json"));
    config["use_dora"] = true;
    folder_.write("adapter/adapter_config.json", config.dump());
    expect_user_error(ExitCode::kModel, part, [&] {
      const ConvertedModel model(folder_ / "model", adapter_, std::nullopt);
      model.tensor(plan_of(model, kWeight));
    });
  };
  refuse_dora("lora_magnitude_vector' is missing", update());
  tensors[kModule + ".lora_magnitude_vector"] = random_tensor({39}, 1);
  refuse_dora("has [39] magnitudes for 40 rows", tensors);
  tensors[kModule + ".lora_magnitude_vector"] = random_tensor({40, 1}, 1);
  refuse_dora("lora_magnitude_vector' is not", tensors);
  tensors[kModule + ".lora_magnitude_vector"] = random_tensor({40}, 1);
  tensors[kModule + ".lora_B.weight"] = random_tensor({40, 4}, 2);
  tensors.at(kModule + ".lora_B.weight")[2].zero_();
  auto weights = tiny_weights(tiny_config());
  weights.at(kWeight)[2].zero_();
  write_model(folder_ / "model", tiny_config(), weights);
  refuse_dora("row 2 is zero", tensors);
}

// Oracle: what was changed.
TEST_F(ConvertedModelTest, TheRecordTellsWhatDiffers) {
  const auto file = folder_.write("input", "a");
  const Json options = {{"dtype", "keep"}};
  const auto look = [&](const Json& wanted, std::string& difference) {
    return look_at_output(folder_ / "out", wanted, {{"in", file}}, difference);
  };
  std::string difference;
  EXPECT_EQ(look(options, difference), OutputState::kFree);
  folder_.write("out/data", "123");
  EXPECT_EQ(look(options, difference), OutputState::kForeign);
  write_conversion_record(folder_ / "out", options, {{"in", file}});
  EXPECT_EQ(look(options, difference), OutputState::kUpToDate);
  EXPECT_EQ(look({{"dtype", "bf16"}}, difference), OutputState::kOther);
  EXPECT_EQ(difference, "dtype");
  folder_.write("input", "b");
  EXPECT_EQ(look(options, difference), OutputState::kOther);
  EXPECT_EQ(difference, "in");
  folder_.write("out/data", "1234");
  EXPECT_EQ(look(options, difference), OutputState::kOther);
  EXPECT_EQ(difference, "data");
  folder_.write("out/anneal_conversion.json", "{}");
  EXPECT_EQ(look(options, difference), OutputState::kForeign);
}

}  // namespace
}  // namespace anneal
