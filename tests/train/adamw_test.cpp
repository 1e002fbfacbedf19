#include "train/adamw.h"

#include <gtest/gtest.h>

#include <cmath>

#include "nn/plain_forms.h"
#include "tests/support/tensors.h"

namespace anneal {
namespace {

constexpr double kFloat32 = 1e-5;  // moments and values are float32; relative to the largest value
ProcessGroup alone;
constexpr double kLearningRate = 0.01, kDecay = 0.1;

// AdamW as published, one number at a time, in float64.
struct LoopAdamW {
  double value, first = 0, second = 0;
  void step(double gradient, int count, double decay) {
    value *= 1 - kLearningRate * decay;
    first = 0.9 * first + 0.1 * gradient;
    second = 0.999 * second + 0.001 * gradient * gradient;
    const double unbiased = first / (1 - std::pow(0.9, count));
    value -= kLearningRate * unbiased / (std::sqrt(second / (1 - std::pow(0.999, count))) + 1e-8);
  }
};

// Oracle: the loop above; decay on matrices, none on norms; sizes with and without whole vectors.
TEST(AdamW, EqualsTheLoop) {
  Parameter weight("model.layers.0.mlp.up_proj.weight", random_tensor({7, 5}, 1), at::kBFloat16);
  Parameter norm("model.norm.weight", random_tensor({64}, 2), at::kFloat);
  AdamW optimizer({&weight, &norm}, kDecay);
  std::vector<std::vector<LoopAdamW>> loops;
  for (const auto* parameter : {&weight, &norm}) {
    loops.emplace_back();
    for (std::int64_t at = 0; at < parameter->value.numel(); ++at)
      loops.back().push_back({parameter->value.view({-1})[at].item<double>()});
  }
  for (int count = 1; count <= 12; ++count) {
    std::size_t which = 0;
    for (auto* parameter : {&weight, &norm}) {
      parameter->gradient.copy_(random_tensor(parameter->gradient.sizes(), 100 * count + which) * 3);
      for (std::int64_t at = 0; at < parameter->value.numel(); ++at)
        loops[which][at].step(parameter->gradient.view({-1})[at].item<double>(), count,
                              which == 0 ? kDecay : 0);
      ++which;
    }
    optimizer.step(kLearningRate);
    which = 0;
    for (const auto* parameter : {&weight, &norm}) {
      for (std::int64_t at = 0; at < parameter->value.numel(); ++at)
        EXPECT_NEAR(parameter->value.view({-1})[at].item<double>(), loops[which][at].value, kFloat32)
            << count;
      EXPECT_TRUE(bits_are_equal(parameter->compute, parameter->value.to(parameter->compute.scalar_type())));
      ++which;
    }
  }
}

// Oracle: torch's fused update, over some steps.
TEST(AdamW, PlainFormEqualsTheFused) {
  Parameter fused("w", random_tensor({33}, 1), at::kFloat), plain("w", random_tensor({33}, 1), at::kFloat);
  AdamW optimizer({&fused}, kDecay), plain_optimizer({&plain}, kDecay);
  for (int count = 1; count <= 5; ++count) {
    for (auto* parameter : {&fused, &plain}) parameter->gradient.copy_(random_tensor({33}, 10 + count));
    optimizer.step(kLearningRate);
    const PlainForms plain_forms;
    plain_optimizer.step(kLearningRate);
  }
  EXPECT_LT(relative_error(plain.value, fused.value), 1e-6);
  EXPECT_LT(relative_error(plain_optimizer.first_moments()[0], optimizer.first_moments()[0]), 1e-6);
  EXPECT_LT(relative_error(plain_optimizer.second_moments()[0], optimizer.second_moments()[0]), 1e-6);
}

// Oracle: with learning rate 0, the first step of a warm-up, values stay; moments do not.
TEST(AdamW, LearningRateZeroMovesNothing) {
  Parameter moved("w", random_tensor({9}, 1), at::kFloat);
  const auto before = moved.value.clone();
  AdamW optimizer({&moved}, kDecay);
  moved.gradient.fill_(1);
  optimizer.step(0);
  EXPECT_TRUE(bits_are_equal(moved.value, before));
  moved.gradient.fill_(0);
  optimizer.step(kLearningRate);
  EXPECT_FALSE(bits_are_equal(moved.value, before)) << "the first moment remembers";
}

// Oracle: transformers' rule, by names it knows.
TEST(AdamW, DecayLeavesOutBiasesAndNorms) {
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight", "model.layers.0.mlp.up_proj.weight",
                           "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "normal.weight",
                           "model.normalizer.weight"})
    EXPECT_TRUE(is_decayed(name)) << name;
  for (const char* name :
       {"model.norm.weight", "model.layers.0.input_layernorm.weight", "layers.0.bias",
        "model.layers.11.post_attention_layernorm.weight", "model.layers.0.self_attn.q_norm.weight",
        "model.layers.0.self_attn.k_norm.weight", "model.RMSNorm.weight", "norm", "x.LayerNorm"})
    EXPECT_FALSE(is_decayed(name)) << name;
}

struct TwoParameters {
  Parameter a{"a", random_tensor({3}, 1), at::kFloat}, b{"b", random_tensor({2, 2}, 2), at::kFloat};
  std::vector<Parameter*> all{&a, &b};
  TwoParameters() {
    a.gradient[0] = 3;
    b.gradient[1][1] = -4;
  }
};

// Oracle: hand numbers; the norm of (3, -4) is 5, the factor 1 / (5 + 1e-6).
TEST(ClipGradients, ScalesToTheNorm) {
  TwoParameters p;
  EXPECT_NEAR(clip_gradients(p.all, 1, alone), 5, 1e-12);
  EXPECT_FLOAT_EQ(p.a.gradient[0].item<float>(), static_cast<float>(3 / (5 + 1e-6)));
  EXPECT_FLOAT_EQ(p.b.gradient[1][1].item<float>(), static_cast<float>(-4 / (5 + 1e-6)));
  EXPECT_NEAR(clip_gradients(p.all, 1, alone), 1, 1e-6);
}

// Oracle: the values before.
TEST(ClipGradients, LeavesShortAndUnlimitedGradients) {
  for (const double limit : {0.0, 6.0, 1e30}) {
    TwoParameters p;
    EXPECT_NEAR(clip_gradients(p.all, limit, alone), 5, 1e-12);
    EXPECT_EQ(p.a.gradient[0].item<float>(), 3);
    EXPECT_EQ(p.b.gradient[1][1].item<float>(), -4);
  }
  EXPECT_EQ(clip_gradients({}, 1, alone), 0);
}

// Oracle: the values before; a norm that is not finite is reported, not spread.
TEST(ClipGradients, LeavesGradientsThatAreNotFinite) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    TwoParameters p;
    p.b.gradient[0][0] = bad;
    EXPECT_FALSE(std::isfinite(clip_gradients(p.all, 1, alone)));
    EXPECT_EQ(p.a.gradient[0].item<float>(), 3);
    EXPECT_EQ(p.b.gradient[1][1].item<float>(), -4);
  }
}

// Oracle: the norm in float64; squares of 1e25 are beyond float32.
TEST(ClipGradients, LargeGradientsDoNotOverflow) {
  TwoParameters p;
  p.a.gradient.fill_(1e25);
  EXPECT_NEAR(clip_gradients(p.all, 1, alone) / (std::sqrt(3.0) * 1e25), 1, 1e-6);
  EXPECT_NEAR(p.a.gradient[0].item<double>(), 1 / std::sqrt(3.0), 1e-6);
}

// Oracle: zeros.
TEST(ZeroGradients, SetsAllToZero) {
  TwoParameters p;
  p.a.gradient[1] = NAN;
  zero_gradients(p.all);
  for (const auto* parameter : p.all) EXPECT_EQ(parameter->gradient.abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace anneal
