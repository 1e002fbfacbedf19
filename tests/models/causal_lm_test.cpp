#include "models/causal_lm.h"

#include <ATen/ops/full.h>
#include <c10/core/InferenceMode.h>

#include "models/language_head.h"
#include "tests/support/reference_model.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

using testing::HasSubstr;

constexpr double kFloat32 = 2e-5;  // three layers of float32, relative to the largest logit
constexpr Precision kPlain{at::kFloat, std::nullopt};

// Oracle: the textbook formulas in float64.
TEST(CausalLm, LogitsEqualTheReference) {
  for (const char* architecture : {"LlamaForCausalLM", "Qwen3ForCausalLM"})
    for (const bool tied : {false, true}) {
      const ScratchFolder folder;
      Json config = tiny_config(architecture);
      config["tie_word_embeddings"] = tied;
      const auto weights = tiny_weights(config);
      write_model(folder.path(), config, weights);
      CausalLm model(folder.path(), kPlain);
      ReferenceModel reference(config, weights, model);
      const auto first = random_ids(70, 1), second = random_ids(3, 2);
      const std::vector<SampleView> samples{{first, 0}, {second, 0}};
      const auto logits = all_logits(model, make_token_batch(samples, at::kCPU));
      EXPECT_LT(relative_error(logits.slice(0, 0, 70), reference.logits(samples[0]).detach()), kFloat32);
      EXPECT_LT(relative_error(logits.slice(0, 70), reference.logits(samples[1]).detach()), kFloat32);
    }
}

// Oracle: the sum of the shapes by hand; a trained model has them all as parameters.
TEST(CausalLm, CountsItsParameters) {
  const ScratchFolder folder;
  for (const char* architecture : {"LlamaForCausalLM", "Qwen3ForCausalLM"}) {
    const Json config = tiny_config(architecture);
    write_tiny_model(folder.path(), config);
    CausalLm model(folder.path(), kPlain);
    std::int64_t total = 0;
    for (const auto& [name, tensor] : tiny_weights(config)) total += tensor.numel();
    EXPECT_EQ(model.num_parameters(), total);
    EXPECT_TRUE(model.parameters().empty());
    model.train_all_weights();
    std::int64_t trained = 0;
    for (const auto* parameter : model.parameters()) trained += parameter->value.numel();
    EXPECT_EQ(trained, total);
    EXPECT_EQ(model.num_parameters(), total);
  }
}

// Oracle: the dtypes asked for.
TEST(CausalLm, HoldsWeightsInTheDtypeAskedFor) {
  const ScratchFolder folder;
  const auto held = [&](at::ScalarType stored, std::optional<at::ScalarType> base) {
    write_tiny_model(folder.path(), tiny_config(), stored);
    const CausalLm model(folder.path(), {at::kFloat, base});
    EXPECT_EQ(model.norm.weight_D.scalar_type(), at::kFloat);
    return model.layers[0].attention.inputs[0].weight_OI.scalar_type();
  };
  EXPECT_EQ(held(at::kBFloat16, std::nullopt), at::kBFloat16);
  EXPECT_EQ(held(at::kFloat, std::nullopt), at::kFloat);
  EXPECT_EQ(held(at::kHalf, std::nullopt), at::kFloat) << "float16 becomes float32";
  EXPECT_EQ(held(at::kBFloat16, at::kFloat), at::kFloat);
  EXPECT_EQ(held(at::kFloat, at::kBFloat16), at::kBFloat16);
}

// Oracle: the values of the file; training writes to copies.
TEST(CausalLm, TrainingLeavesTheFileAlone) {
  const ScratchFolder folder;
  write_tiny_model(folder.path(), tiny_config());
  const auto before = folder.read("model.safetensors");
  CausalLm model(folder.path(), kPlain);
  model.train_all_weights();
  for (auto* parameter : model.parameters()) parameter->value.add_(1);
  EXPECT_EQ(folder.read("model.safetensors"), before);
  EXPECT_TRUE(bits_are_equal(CausalLm(folder.path(), kPlain).embedding_VE,
                             tiny_weights(tiny_config()).at("model.embed_tokens.weight")));
}

// Oracle: the same weights at odd bytes of the file, which kernels cannot load in place.
TEST(CausalLm, ReadsUnalignedTensors) {
  const std::string bytes = std::string("x") + std::string("\x00\x00\x80\x3f\x00\x00\x00\x40", 8);
  const TensorView view{DType::kFloat32, {2}, std::as_bytes(std::span(bytes)).subspan(1)};
  const auto tensor = tensor_of(view);
  EXPECT_EQ(tensor[0].item<float>(), 1);
  EXPECT_EQ(tensor[1].item<float>(), 2);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % 4, 0U);
}

class BadWeights : public testing::Test {
 protected:
  std::string load_error(const std::string& part) {
    write_model(folder_.path(), config_, weights_);
    return expect_user_error(ExitCode::kModel, part, [&] { CausalLm model(folder_.path(), kPlain); });
  }
  Json config_ = tiny_config();
  Tensors weights_ = tiny_weights(config_);
  ScratchFolder folder_;
};

// Oracle: the text of the error, for every tensor of the model.
TEST_F(BadWeights, MissingTensor) {
  for (const auto& [name, tensor] : tiny_weights(config_)) {
    weights_.erase(name);
    EXPECT_THAT(load_error("tensor '" + name + "' is missing"), HasSubstr(folder_.path().string()));
    weights_[name] = tensor;
  }
}

// Oracle: the text of the error, for every tensor of the model.
TEST_F(BadWeights, WrongShape) {
  for (const auto& [name, tensor] : tiny_weights(config_)) {
    weights_[name] = tensor.slice(0, 1).contiguous();
    EXPECT_THAT(load_error("tensor '" + name + "' has the shape ["), HasSubstr("model.safetensors"));
    weights_[name] = tensor.unsqueeze(0);
    load_error("tensor '" + name + "' has the shape [1, ");
    weights_[name] = tensor;
  }
  config_["vocab_size"] = 38;
  EXPECT_THAT(load_error("has the shape [37, 24]"), HasSubstr("config.json wants [38, 24]"));
}

// Oracle: the text of the error.
TEST_F(BadWeights, TruncatedFile) {
  write_model(folder_.path(), config_, weights_);
  const auto whole = folder_.read("model.safetensors");
  for (const std::size_t size : {whole.size() - 1, whole.size() / 2, std::size_t{100}, std::size_t{5}}) {
    folder_.write("model.safetensors", whole.substr(0, size));
    EXPECT_THAT(expect_user_error(ExitCode::kModel, "model.safetensors",
                                  [&] { CausalLm model(folder_.path(), kPlain); }),
                HasSubstr("damaged or incomplete"));
  }
}

// Oracle: the text of the error.
TEST_F(BadWeights, IntegerWeights) {
  write_model(folder_.path(), config_, weights_);
  std::vector<NamedTensor> views;
  for (const auto& [name, tensor] : weights_) {
    auto named = named_view(name, tensor);
    if (name == "lm_head.weight") named.view.dtype = DType::kInt32;
    views.push_back(named);
  }
  write_safetensors(folder_ / "model.safetensors", views);
  expect_user_error(ExitCode::kModel, "tensor 'lm_head.weight' is of dtype I32",
                    [&] { CausalLm model(folder_.path(), kPlain); });
}

// Oracle: the losses of one chunk; 1200 rows are three chunks, of another vocabulary size.
TEST(LanguageHead, ChunksDoNotChangeTheResult) {
  const c10::InferenceMode no_autograd;
  const ScratchFolder folder;
  write_tiny_model(folder.path(), tiny_config());
  CausalLm model(folder.path(), kPlain);
  model.train_all_weights();
  const auto ids = random_ids(1201, 5);
  const std::vector<SampleView> samples{{ids, 1}};
  const auto batch = make_token_batch(samples, at::kCPU);
  const auto hidden = random_tensor({1201, 24}, 6);
  const auto whole = language_head(model, hidden, batch, 1.0);
  ASSERT_EQ(whole.losses_M.size(), 1200U);
  for (const std::int64_t row : {0, 511, 512, 1023, 1024, 1199}) {
    const std::vector<std::int32_t> pair{ids[row], ids[row + 1]};
    const std::vector<SampleView> one{{pair, 1}};
    const auto alone =
        language_head(model, hidden.slice(0, row, row + 2), make_token_batch(one, at::kCPU), 1.0);
    EXPECT_NEAR(alone.losses_M[0].nll, whole.losses_M[row].nll, 1e-5) << row;
    EXPECT_LT(relative_error(whole.dx_NE[row], alone.dx_NE[0]), kFloat32) << row;
  }
  EXPECT_EQ(whole.dx_NE[1200].abs().max().item<float>(), 0) << "the last token predicts nothing";
}

}  // namespace
}  // namespace anneal
