#include "train/step.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "models/lora_adapter.h"
#include "nn/plain_forms.h"
#include "tests/support/reference_model.h"
#include "tests/support/scratch_folder.h"
#include "train/adamw.h"

namespace anneal {
namespace {

constexpr double kFloat32Gradient = 5e-5;  // three layers of float32, relative to a tensor's largest gradient
constexpr double kFloat32Loss = 1e-6;      // relative
constexpr double kOtherCut = 1e-5;         // float32 sums in another order
constexpr double kBf16Gradient = 0.1;      // three layers of 8 bits, relative to a tensor's largest gradient
constexpr std::uint64_t kSeed = 42;
constexpr std::int64_t kStep = 7;

struct StepSetup {
  std::string architecture = "LlamaForCausalLM";
  bool tied = false;
  std::vector<std::string> targets;  // none: all weights are trained
  double dropout = 0;
  at::ScalarType compute = at::kFloat;
  bool dora = false;
  std::int64_t hidden_size = 24;
};

struct Loaded {
  explicit Loaded(const StepSetup& setup) : config(tiny_config(setup.architecture)) {
    config["tie_word_embeddings"] = setup.tied;
    config["hidden_size"] = setup.hidden_size;
    weights = tiny_weights(config);
    write_model(folder.path(), config, weights);
    model = std::make_unique<CausalLm>(folder.path(), Precision{setup.compute, std::nullopt});
    if (setup.targets.empty())
      model->train_all_weights();
    else
      add_lora(
          *model,
          {.rank = 4, .alpha = 6, .dropout = setup.dropout, .targets = setup.targets, .use_dora = setup.dora},
          kSeed);
    start_magnitudes(*model);
    for (auto* parameter : model->parameters()) {
      const auto noise = random_tensor(parameter->value.sizes(), hash_name(parameter->name));
      if (parameter->name.ends_with("lora_B.weight")) parameter->value.copy_(noise);
      if (parameter->name.ends_with("lora_magnitude_vector")) parameter->value.mul_(noise * 0.5 + 1.5);
      parameter->refresh_compute();
    }
    for (std::size_t index = 0; index < kLengths.size(); ++index)
      ids.push_back(random_ids(kLengths[index], index));
    for (std::size_t index = 0; index < ids.size(); ++index) pool.push_back({ids[index], kPrompts[index]});
  }

  StepLoss run(std::int64_t micro_batch_tokens, std::int64_t kept_layers) {
    zero_gradients(model->parameters());
    return forward_backward(*model, pool, {micro_batch_tokens, kept_layers}, kSeed, kStep, alone);
  }
  std::vector<at::Tensor> gradients() const {
    std::vector<at::Tensor> all;
    for (const auto* parameter : model->parameters()) all.push_back(parameter->gradient.clone());
    return all;
  }

  // The third sample trains nothing.
  ProcessGroup alone;
  static inline const std::vector<std::size_t> kLengths{9, 70, 5, 2, 23};
  static inline const std::vector<std::size_t> kOrdinals{0, 1, 2, 3, 4};
  static inline const std::vector<std::int64_t> kPrompts{3, 40, 5, 0, 1};
  ScratchFolder folder;
  Json config;
  Tensors weights;
  std::unique_ptr<CausalLm> model;
  std::vector<std::vector<std::int32_t>> ids;
  std::vector<SampleView> pool;
};

void expect_reference(const StepSetup& setup, double loss_bound, double gradient_bound) {
  Loaded loaded(setup);
  const auto loss = loaded.run(1000, 3);
  ReferenceModel reference(loaded.config, loaded.weights, *loaded.model);
  const auto keys =
      dropout_row_keys(make_token_batch(loaded.pool, at::kCPU), kSeed, kStep, Loaded::kOrdinals);
  const auto [wanted, trained] = reference.loss(loaded.pool, keys);
  (wanted / trained).backward();
  EXPECT_EQ(loss.trained_tokens, trained);
  EXPECT_EQ(loss.tokens, 109);
  EXPECT_NEAR(loss.sum_nll / wanted.item<double>(), 1, loss_bound);
  ASSERT_FALSE(loaded.model->parameters().empty());
  for (const auto* parameter : loaded.model->parameters())
    EXPECT_LT(relative_error(parameter->gradient, reference.gradient(parameter->name)), gradient_bound)
        << setup.architecture << ", " << parameter->name;
}

// Oracle: the textbook formulas in float64 with autograd.
TEST(Step, FullGradientsEqualTheReference) {
  for (const char* architecture : {"LlamaForCausalLM", "Qwen3ForCausalLM"})
    for (const bool tied : {false, true})
      expect_reference({architecture, tied}, kFloat32Loss, kFloat32Gradient);
}

// Oracle: the textbook formulas in float64 with autograd and the plain dropout masks; with adapters in some
// layers only, the backward pass stops at the lowest.
TEST(Step, LoraGradientsEqualTheReference) {
  const std::vector<std::vector<std::string>> target_sets{{"all-linear"},
                                                          {"k_proj", "up_proj"},
                                                          {"layers.2.mlp.up_proj"},
                                                          {"layers.1.self_attn.o_proj"},
                                                          {"layers.1.mlp.down_proj", "v_proj"}};
  for (const char* architecture : {"LlamaForCausalLM", "Qwen3ForCausalLM"})
    for (const auto& targets : target_sets)
      for (const bool dora : {false, true})
        expect_reference({architecture, false, targets, 0.2, at::kFloat, dora}, kFloat32Loss,
                         kFloat32Gradient);
}

// Oracle: the same reference; bfloat16 is near it.
TEST(Step, Bfloat16IsNearTheReference) {
  constexpr double kBf16Loss = 2e-2;
  for (const auto& targets : {std::vector<std::string>{}, std::vector<std::string>{"all-linear"}})
    for (const bool dora : {false, true})
      expect_reference({"Qwen3ForCausalLM", true, targets, 0.1, at::kBFloat16, dora}, kBf16Loss,
                       kBf16Gradient);
}

// Oracle: central differences of the loss along the gradient and along random parts of it.
TEST(Step, GradientIsTheSlopeOfTheLoss) {
  constexpr double kStepSize = 4e-3, kSlope = 5e-3;  // float32 losses, third derivatives
  for (const bool full : {false, true}) {
    Loaded loaded({"Qwen3ForCausalLM", false,
                   full ? std::vector<std::string>{} : std::vector<std::string>{"all-linear"}, 0.1});
    loaded.run(1000, 3);
    const auto gradients = loaded.gradients();
    const auto parameters = loaded.model->parameters();
    for (std::uint64_t part = 0; part < 4; ++part) {
      std::vector<at::Tensor> direction;
      double squares = 0;
      for (std::size_t at = 0; at < gradients.size(); ++at) {
        const auto chosen = random_tensor(gradients[at].sizes(), mix(part, at)).gt(part == 0 ? -1.0 : 0.3);
        direction.push_back(gradients[at] * chosen.to(at::kFloat));
        squares += in_double(direction.back()).pow(2).sum().item<double>();
      }
      const double length = std::sqrt(squares);
      const auto loss_at = [&](double step) {
        const c10::InferenceMode no_autograd;
        for (std::size_t at = 0; at < direction.size(); ++at)
          parameters[at]->value.add_(direction[at], step / length);
        const double loss = loaded.run(1000, 3).mean();
        for (std::size_t at = 0; at < direction.size(); ++at)
          parameters[at]->value.sub_(direction[at], step / length);
        return loss;
      };
      const double slope = (loss_at(kStepSize) - loss_at(-kStepSize)) / (2 * kStepSize);
      EXPECT_NEAR(slope / length, 1, kSlope) << "part " << part << (full ? ", full" : ", LoRA");
    }
  }
}

// Oracle: the pool uncut.
TEST(Step, CutsDoNotChangeTheResult) {
  using Targets = std::vector<std::string>;
  for (const auto& [targets, dora] :
       {std::pair<Targets, bool>{{}, false}, {{"all-linear"}, false}, {{"all-linear"}, true}}) {
    Loaded loaded({"LlamaForCausalLM", false, targets, 0.3, at::kFloat, dora});
    const auto loss = loaded.run(1000, 3);
    const auto gradients = loaded.gradients();
    for (const std::int64_t budget : {1, 10, 30, 80}) {
      const auto cut = loaded.run(budget, 3);
      EXPECT_NEAR(cut.sum_nll / loss.sum_nll, 1, kFloat32Loss) << budget;
      EXPECT_EQ(cut.trained_tokens, loss.trained_tokens);
      const auto others = loaded.gradients();
      for (std::size_t at = 0; at < gradients.size(); ++at)
        EXPECT_LT(relative_error(others[at], gradients[at]), kOtherCut) << budget << ", tensor " << at;
    }
  }
}

// Oracle: all layers kept, bit for bit.
TEST(Step, RecomputingDoesNotChangeTheResult) {
  for (const char* architecture : {"LlamaForCausalLM", "Qwen3ForCausalLM"})
    for (const auto compute : {at::kFloat, at::kBFloat16})
      for (const auto& targets : {std::vector<std::string>{}, std::vector<std::string>{"all-linear"},
                                  std::vector<std::string>{"layers.1.mlp.up_proj"}}) {
        Loaded loaded({architecture, false, targets, 0.3, compute, /*dora=*/true});
        const auto loss = loaded.run(40, 3);
        const auto gradients = loaded.gradients();
        for (std::int64_t kept = 0; kept < 3; ++kept) {
          EXPECT_EQ(loaded.run(40, kept).sum_nll, loss.sum_nll) << kept;
          const auto others = loaded.gradients();
          for (std::size_t at = 0; at < gradients.size(); ++at)
            EXPECT_TRUE(bits_are_equal(others[at], gradients[at])) << kept << ", tensor " << at;
        }
      }
}

// Oracle: the kernels. The plain forms are what runs on devices, so a whole step has to agree.
TEST(Step, PlainFormsGiveTheSameStep) {
  constexpr double kOtherSums = 2e-5;  // three layers of float32 sums in another order
  for (const char* architecture : {"LlamaForCausalLM", "Qwen3ForCausalLM"})
    for (const auto& targets : {std::vector<std::string>{}, std::vector<std::string>{"all-linear"}}) {
      Loaded loaded({architecture, false, targets, 0.3, at::kFloat, /*dora=*/true});
      const auto loss = loaded.run(40, 2);
      const auto gradients = loaded.gradients();
      const PlainForms plain_forms;
      const auto plain = loaded.run(40, 2);
      EXPECT_NEAR(plain.sum_nll / loss.sum_nll, 1, kFloat32Loss) << architecture;
      const auto others = loaded.gradients();
      for (std::size_t at = 0; at < gradients.size(); ++at)
        EXPECT_LT(relative_error(others[at], gradients[at]), kOtherSums) << architecture << ", tensor " << at;
    }
}

struct LargePool : Loaded {  // more rows than products by blocks want at least
  LargePool(const std::vector<std::string>& targets, at::ScalarType compute)
      : Loaded({"Qwen3ForCausalLM", false, targets, 0.3, compute, /*dora=*/false, /*hidden_size=*/64}) {
    const auto once = pool;
    for (int more = 0; more < 3; ++more) pool.insert(pool.end(), once.begin(), once.end());
  }
  std::vector<at::Tensor> gradients_of_step() {
    run(1000, 3);
    return gradients();
  }
};

// Oracle: the kernels again; the plain form of each one alone.
TEST(Step, ThePlainFormOfEachKernelGivesTheSameStep) {
  constexpr double kOtherSums = 2e-5;
  for (const auto& targets : {std::vector<std::string>{}, std::vector<std::string>{"all-linear"}}) {
    LargePool loaded(targets, at::kFloat);
    const auto gradients = loaded.gradients_of_step();
    for (const auto kernel : kAllKernels) {
      const PlainForms plain_form(kernel);
      const auto others = loaded.gradients_of_step();
      for (std::size_t at = 0; at < gradients.size(); ++at)
        EXPECT_LT(relative_error(others[at], gradients[at]), kOtherSums)
            << "kernel " << static_cast<int>(kernel) << ", tensor " << at;
    }
  }
}

// Oracle: the same step in float32. In bfloat16, where products and adapters go through other code, kernels
// round no more than the plain form of any of them, nor less.
TEST(Step, EachKernelRoundsLikeItsPlainFormInBfloat16) {
  for (const auto& targets : {std::vector<std::string>{}, std::vector<std::string>{"all-linear"}}) {
    const auto exact = LargePool(targets, at::kFloat).gradients_of_step();
    const auto mean_distance = [&](const std::vector<at::Tensor>& gradients) {
      double sum = 0;
      for (std::size_t at = 0; at < exact.size(); ++at) sum += relative_distance(gradients[at], exact[at]);
      return sum / static_cast<double>(exact.size());
    };
    LargePool loaded(targets, at::kBFloat16);
    const auto of_kernels = mean_distance(loaded.gradients_of_step());
    for (const auto kernel : kAllKernels) {
      const PlainForms plain_form(kernel);
      const auto of_plain_form = mean_distance(loaded.gradients_of_step());
      EXPECT_NEAR(of_plain_form / of_kernels, 1, 0.3) << "kernel " << static_cast<int>(kernel) << ": "
                                                      << of_plain_form << ", all kernels: " << of_kernels;
    }
  }
}

// Oracle: another step, another mask; the same step, the same bits.
TEST(Step, DropoutIsKeyedByStepAndSeed) {
  Loaded loaded({"LlamaForCausalLM", false, {"all-linear"}, 0.3});
  const auto loss_of = [&](std::uint64_t seed, std::int64_t step) {
    return forward_backward(*loaded.model, loaded.pool, {1000, 3}, seed, step, loaded.alone).sum_nll;
  };
  EXPECT_EQ(loss_of(1, 1), loss_of(1, 1));
  EXPECT_NE(loss_of(1, 1), loss_of(1, 2));
  EXPECT_NE(loss_of(1, 1), loss_of(2, 1));
}

// Oracle: nothing to train on, nothing done (case 21 of the bad inputs, behind what drops such samples).
TEST(Step, APoolWithoutTrainedPositionsDoesNothing) {
  Loaded loaded({"LlamaForCausalLM", false, {"all-linear"}});
  for (auto& sample : loaded.pool) sample.prompt_length = 1000;
  const auto loss = loaded.run(1000, 3);
  EXPECT_EQ(loss.trained_tokens, 0);
  EXPECT_EQ(loss.mean(), 0);
  for (const auto& gradient : loaded.gradients()) EXPECT_EQ(gradient.abs().max().item<float>(), 0);
}

// Oracle: cuts by hand.
TEST(CutPool, CutsInOrderWithinTheBudget) {
  using Starts = std::vector<std::size_t>;
  EXPECT_EQ(cut_pool({3, 4, 5}, 12), (Starts{0, 3}));
  EXPECT_EQ(cut_pool({3, 4, 5}, 11), (Starts{0, 2, 3}));
  EXPECT_EQ(cut_pool({3, 4, 5}, 7), (Starts{0, 2, 3}));
  EXPECT_EQ(cut_pool({3, 4, 5}, 6), (Starts{0, 1, 2, 3}));
  EXPECT_EQ(cut_pool({20, 1, 1, 20, 1}, 2), (Starts{0, 1, 3, 4, 5})) << "a longer sample stands alone";
  EXPECT_EQ(cut_pool({20}, 1), (Starts{0, 1}));
  EXPECT_EQ(cut_pool({1, 1, 1, 1}, 2), (Starts{0, 2, 4}));
}

}  // namespace
}  // namespace anneal
