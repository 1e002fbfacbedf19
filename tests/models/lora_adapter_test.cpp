#include "models/lora_adapter.h"

#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>

#include <cmath>

#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

using Targets = std::vector<std::string>;

class LoraAdapter : public testing::Test {
 protected:
  void SetUp() override { write_tiny_model(folder_.path(), tiny_config()); }

  CausalLm load(const Targets& targets, std::uint64_t seed = 1) const {
    CausalLm model(folder_.path(), {at::kFloat, std::nullopt});
    add_lora(model, {4, 6, 0.1, targets}, seed);
    return model;
  }
  static std::set<std::string> adapted(CausalLm& model) {
    std::set<std::string> names;
    model.for_each_linear([&](const Linear& linear) {
      if (linear.lora) names.insert(linear.name);
    });
    return names;
  }
  std::set<std::string> adapted_by(const Targets& targets) const {
    auto model = load(targets);
    return adapted(model);
  }
  static const Linear& find(CausalLm& model, const std::string& name) {
    const Linear* found = nullptr;
    model.for_each_linear([&](Linear& linear) {
      if (linear.name == name) found = &linear;
    });
    return *found;
  }

  const std::string kQ = "model.layers.1.self_attn.q_proj";
  ScratchFolder folder_;
};

// Oracle: PEFT's rule by hand: the whole name, or its ending after a dot; all-linear leaves out the head.
TEST_F(LoraAdapter, TargetsMatchAsInPeft) {
  EXPECT_EQ(adapted_by({"q_proj"}).size(), 3U);
  EXPECT_EQ(adapted_by({"self_attn.q_proj"}).size(), 3U);
  EXPECT_EQ(adapted_by({kQ}), std::set<std::string>{kQ});
  EXPECT_EQ(adapted_by({"1.self_attn.q_proj"}), std::set<std::string>{kQ});
  EXPECT_EQ(adapted_by({"q_proj", "down_proj"}).size(), 6U);
  EXPECT_EQ(adapted_by({"all-linear"}).size(), 21U);
  const auto all = adapted_by({"all-linear"});
  EXPECT_EQ(all.count("lm_head"), 0U);
  EXPECT_EQ(all.count("model.layers.2.mlp.gate_proj"), 1U);
}

// Oracle: the names of the families' modules in transformers; what PEFT refuses and takes too much.
TEST(ResolvedTargets, AreThoseOfTheFamily) {
  ModelConfig config;
  EXPECT_EQ(resolved_targets(config, {"all-linear"}), Targets{"all-linear"});
  EXPECT_EQ(resolved_targets(config, {"q_proj", "mlp.up_proj"}), (Targets{"q_proj", "mlp.up_proj"}));
  config.is_fused = true;
  EXPECT_EQ(
      resolved_targets(config, {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
      (Targets{"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}));
  EXPECT_EQ(resolved_targets(config, {"0.self_attn.v_proj"}), Targets{"0.self_attn.qkv_proj"});
  config.is_fused = false;
  config.experts = ExpertsConfig{.gate = "w1", .up = "w3", .down = "w2"};
  EXPECT_EQ(resolved_targets(config, {"all-linear"}),
            (Targets{"q_proj", "k_proj", "v_proj", "o_proj", "w1", "w3", "w2"}));
  EXPECT_EQ(resolved_targets(config, {"q_proj", "w2"}), (Targets{"q_proj", "w2"}));
  expect_user_error(ExitCode::kUsage, "are one adapter in PEFT", [&] {
    resolved_targets(config, {"w1", "w2"});
  });
}

// Oracle: counts by hand; a module that two targets hit counts for both and is adapted once.
TEST_F(LoraAdapter, CountsHits) {
  CausalLm model(folder_.path(), {at::kFloat, std::nullopt});
  const auto hits = add_lora(model, {4, 6, 0, {"q_proj", kQ, "none"}, /*allow_missing_targets=*/true}, 1);
  ASSERT_EQ(hits.size(), 3U);
  EXPECT_EQ(hits[0].modules, 3);
  EXPECT_EQ(hits[1].modules, 1);
  EXPECT_EQ(hits[2].modules, 0);
  EXPECT_EQ(model.parameters().size(), 6U);
}

// Oracle: the text of the error, with every target at fault.
TEST_F(LoraAdapter, RefusesTargetsThatHitNothing) {
  for (const char* target : {"proj", "_proj", "q_pro", "Q_PROJ", "lm_head", "embed_tokens", "c_attn"})
    expect_user_error(ExitCode::kUsage, "\"" + std::string(target) + "\" hits no linear layer", [&] {
      load({"q_proj", target});
    });
  const auto text = expect_user_error(ExitCode::kUsage, "\"first\"", [&] {
    load({"first", "q_proj", "second"});
  });
  EXPECT_THAT(text, testing::HasSubstr("\"second\""));
  EXPECT_THAT(text, testing::HasSubstr("q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"));
  expect_user_error(ExitCode::kUsage, "no target hits a linear layer", [&] {
    CausalLm model(folder_.path(), {at::kFloat, std::nullopt});
    add_lora(model, {4, 6, 0, {"first", "second"}, /*allow_missing_targets=*/true}, 1);
  });
}

// Oracle: shapes, names and scale of PEFT by hand.
TEST_F(LoraAdapter, NamesShapesAndScale) {
  auto model = load({"gate_proj"});
  const auto& lora = *find(model, "model.layers.0.mlp.gate_proj").lora;
  EXPECT_EQ(lora.a_RI.name, "base_model.model.model.layers.0.mlp.gate_proj.lora_A.weight");
  EXPECT_EQ(lora.b_OR.name, "base_model.model.model.layers.0.mlp.gate_proj.lora_B.weight");
  EXPECT_EQ(lora.a_RI.value.sizes(), (at::IntArrayRef{4, 24}));
  EXPECT_EQ(lora.b_OR.value.sizes(), (at::IntArrayRef{40, 4}));
  EXPECT_EQ(lora.scale, 1.5);
  EXPECT_EQ(lora.dropout, 0.1);
}

// Oracle: the uniform distribution on (-1/sqrt(in), 1/sqrt(in)): its bounds, mean and variance.
TEST_F(LoraAdapter, InitialAIsUniformAndBIsZero) {
  CausalLm model(folder_.path(), {at::kFloat, std::nullopt});
  add_lora(model, {64, 64, 0, {"all-linear"}}, 3);
  model.for_each_linear([](const Linear& linear) {
    const auto a = in_double(linear.lora->a_RI.value);
    const double bound = 1 / std::sqrt(static_cast<double>(linear.in_features()));
    const double largest = a.abs().max().item<double>();
    EXPECT_TRUE(largest <= bound && largest > 0.99 * bound) << linear.name;
    const double standard_error = bound / std::sqrt(3.0 * static_cast<double>(a.numel()));
    EXPECT_LT(std::abs(a.mean().item<double>()), 5 * standard_error) << linear.name;
    EXPECT_NEAR(a.pow(2).mean().item<double>() / (bound * bound / 3), 1, 0.15) << linear.name;
    EXPECT_EQ(linear.lora->b_OR.value.abs().max().item<float>(), 0);
  });
}

// Oracle: the names and shapes of PEFT by hand, and the lengths of the rows in float64.
TEST_F(LoraAdapter, AFreshDoraHasTheLengthsOfTheRows) {
  CausalLm model(folder_.path(), {at::kBFloat16, std::nullopt});
  add_lora(model, {.rank = 4, .alpha = 6, .dropout = 0.1, .targets = {"gate_proj"}, .use_dora = true}, 1);
  start_magnitudes(model);
  const auto& gate = find(model, "model.layers.0.mlp.gate_proj");
  const auto& magnitude = *gate.lora->magnitude_O;
  EXPECT_EQ(magnitude.name, "base_model.model.model.layers.0.mlp.gate_proj.lora_magnitude_vector");
  EXPECT_EQ(magnitude.compute.scalar_type(), at::kFloat);
  const auto lengths = at::linalg_vector_norm(in_double(gate.weight_OI), 2, at::IntArrayRef{1});
  EXPECT_LT(relative_error(magnitude.compute, lengths), 1e-6)
      << "of weights as they are held, not as multiplied";
  EXPECT_EQ(model.parameters().size(), 9U);
  auto weights = tiny_weights(tiny_config());
  weights.at("model.layers.0.mlp.gate_proj.weight")[7].zero_();
  write_model(folder_.path(), tiny_config(), weights);
  CausalLm with_zeros(folder_.path(), {at::kFloat, std::nullopt});
  add_lora(with_zeros, {.rank = 4, .alpha = 6, .dropout = 0, .targets = {"gate_proj"}, .use_dora = true}, 1);
  expect_user_error(ExitCode::kModel, "row 7 is zero", [&] { start_magnitudes(with_zeros); });
}

// Oracle: W + scale B A in float64, and its rows at the lengths that the magnitudes say.
TEST_F(LoraAdapter, MergingIsTheFormula) {
  for (const bool dora : {false, true}) {
    CausalLm model(folder_.path(), {at::kFloat, std::nullopt});
    add_lora(model, {.rank = 4, .alpha = 6, .dropout = 0.1, .targets = {"q_proj"}, .use_dora = dora}, 1);
    for (auto* parameter : model.parameters())
      parameter->value.copy_(random_tensor(parameter->value.sizes(), hash_name(parameter->name)));
    const auto& linear = find(model, kQ);
    const auto& lora = *linear.lora;
    auto wanted =
        in_double(linear.weight_OI) + at::mm(in_double(lora.b_OR.value), in_double(lora.a_RI.value)) * 1.5;
    if (dora)
      wanted = wanted *
               (in_double(lora.magnitude_O->value) / at::linalg_vector_norm(wanted, 2, at::IntArrayRef{1}))
                   .unsqueeze(1);
    merge_lora(model);
    EXPECT_LT(relative_error(linear.weight_OI, wanted), 1e-6) << dora;
    EXPECT_FALSE(linear.lora);
  }
}

// Oracle: the same module under the same seed with other targets; other seeds and modules differ.
TEST_F(LoraAdapter, InitialADependsOnSeedAndModuleOnly) {
  auto few = load({"q_proj"}), all = load({"all-linear"}), again = load({"q_proj"}),
       other = load({"q_proj"}, 2);
  const auto a = [](CausalLm& model, const std::string& name) { return find(model, name).lora->a_RI.value; };
  EXPECT_TRUE(bits_are_equal(a(few, kQ), a(all, kQ)));
  EXPECT_TRUE(bits_are_equal(a(few, kQ), a(again, kQ)));
  EXPECT_FALSE(bits_are_equal(a(few, kQ), a(other, kQ)));
  EXPECT_FALSE(bits_are_equal(a(few, kQ), a(few, "model.layers.0.self_attn.q_proj")));
}

}  // namespace
}  // namespace anneal
