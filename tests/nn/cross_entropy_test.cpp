#include "nn/cross_entropy.h"

#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "nn/plain_forms.h"
#include "tests/support/tensors.h"

namespace anneal {
namespace {

constexpr double kRoundingFloat32 = 1e-6;   // of one logit, in float32
constexpr double kRoundingBf16 = 0x1.0p-8;  // half a unit in the last place
constexpr double kFiniteDifference = 1e-3;  // slopes of a float32 loss with steps of 1/64
constexpr std::int64_t kVocabularies[] = {1,   2,    15,    17,
                                          100, 4099, 50'257};  // partial vectors; more than one block

at::Tensor random_logits(std::int64_t rows, std::int64_t vocabulary, at::ScalarType type) {
  return random_tensor({rows, vocabulary}, vocabulary, at::kDouble).mul(6).to(type);
}

std::vector<std::int64_t> random_targets(std::int64_t rows, std::int64_t vocabulary) {
  std::vector<std::int64_t> targets(rows);
  for (std::int64_t row = 0; row < rows; ++row)
    targets[row] = static_cast<std::int64_t>(mix(7, row) % vocabulary);
  return targets;
}

std::vector<RowLoss> losses_of(at::Tensor logits, const std::vector<std::int64_t>& targets,
                               std::optional<double> gradient_scale = std::nullopt) {
  const RowLosses losses(logits.size(0), at::kCPU);
  cross_entropy(logits, at::tensor(targets), gradient_scale, losses);
  return on_host(losses);
}

// Oracle: log-softmax in float64, and the plain form.
TEST(CrossEntropy, LossEqualsLogSoftmax) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const auto vocabulary : kVocabularies) {
      const auto logits = random_logits(5, vocabulary, type), before = logits.clone();
      const auto targets = random_targets(5, vocabulary);
      const auto losses = losses_of(logits, targets);
      const auto wanted = at::log_softmax(in_double(logits), -1);
      const PlainForms plain_forms;
      const auto plain = losses_of(logits, targets);
      for (std::int64_t row = 0; row < 5; ++row) {
        EXPECT_NEAR(losses[row].nll, -wanted[row][targets[row]].item<double>(), 20 * kRoundingFloat32)
            << vocabulary;
        EXPECT_NEAR(plain[row].nll, losses[row].nll, 20 * kRoundingFloat32) << vocabulary;
      }
      EXPECT_TRUE(bits_are_equal(logits, before)) << "without a gradient, logits stay";
    }
}

// Oracle: scale * (softmax - one-hot), in float64.
TEST(CrossEntropy, GradientIsSoftmaxMinusOneHot) {
  constexpr double kScale = 0.25;
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const auto vocabulary : kVocabularies) {
      const auto logits = random_logits(5, vocabulary, type);
      const auto targets = random_targets(5, vocabulary);
      auto wanted = at::softmax(in_double(logits), -1);
      for (std::int64_t row = 0; row < 5; ++row) wanted[row][targets[row]] -= 1;
      losses_of(logits, targets, kScale);
      const double bound = type == at::kFloat ? 2 * kRoundingFloat32 : kRoundingBf16;
      EXPECT_LT(relative_error(logits, wanted * kScale), vocabulary == 1 ? 1e-6 : bound) << vocabulary;
    }
}

// Oracle: central differences of the loss itself.
TEST(CrossEntropy, GradientIsTheSlopeOfTheLoss) {
  const auto logits = random_logits(1, 21, at::kFloat);
  const std::vector<std::int64_t> targets{4};
  const auto gradient = logits.clone();
  losses_of(gradient, targets, 1.0);
  const double step = 1.0 / 64;
  for (std::int64_t column = 0; column < 21; ++column) {
    auto up = logits.clone(), down = logits.clone();
    up[0][column] += step;
    down[0][column] -= step;
    const double slope = (losses_of(up, targets)[0].nll - losses_of(down, targets)[0].nll) / (2 * step);
    EXPECT_NEAR(gradient[0][column].item<double>(), slope, kFiniteDifference);
  }
}

// Oracle: hand numbers; of equal largest logits the first is the argmax.
TEST(CrossEntropy, ArgmaxIsTheFirstOfTheLargest) {
  const auto is_argmax = [](const std::vector<float>& logits, std::int64_t target, at::ScalarType type) {
    return losses_of(at::tensor(logits).view({1, -1}).to(type), {target})[0].target_is_argmax;
  };
  std::vector<float> wide(40, 1.0F);
  wide[21] = wide[37] = 2.0F;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    EXPECT_TRUE(is_argmax({1, 3, 2}, 1, type));
    EXPECT_FALSE(is_argmax({1, 3, 2}, 2, type));
    EXPECT_TRUE(is_argmax({3, 3, 2}, 0, type));
    EXPECT_FALSE(is_argmax({3, 3, 2}, 1, type));
    EXPECT_TRUE(is_argmax(wide, 21, type));
    EXPECT_FALSE(is_argmax(wide, 37, type));
    EXPECT_TRUE(is_argmax({-5, -5}, 0, type));
  }
}

// Oracle: closed forms; a loss of log V for equal logits, of the distance for far ones.
TEST(CrossEntropy, HugeLogitsDoNotOverflow) {
  for (const double size : {1e2, 1e4, 1e30}) {
    for (const double sign : {1.0, -1.0}) {
      const auto equal = at::full({1, 40}, sign * size, at::kFloat);
      EXPECT_NEAR(losses_of(equal, {39})[0].nll, std::log(40.0), 40 * kRoundingFloat32);
      losses_of(equal, {39}, 1.0);
      EXPECT_NEAR(equal[0][0].item<double>(), 1.0 / 40, kRoundingFloat32);
      EXPECT_NEAR(equal[0][39].item<double>(), 1.0 / 40 - 1, kRoundingFloat32);
    }
    auto one = at::full({1, 40}, 0, at::kFloat);
    one[0][7] = size;
    EXPECT_NEAR(losses_of(one, {7})[0].nll, 0, kRoundingFloat32);
    EXPECT_NEAR(losses_of(one, {8})[0].nll / size, 1, kRoundingFloat32);
    losses_of(one, {8}, 1.0);
    EXPECT_NEAR(one[0][7].item<double>(), 1, kRoundingFloat32);
    EXPECT_NEAR(one[0][8].item<double>(), -1, kRoundingFloat32);
  }
}

// Oracle: log-softmax; the loss of a row with a NaN or with plus infinity is NaN, wherever the value stands.
TEST(CrossEntropy, BadLogitsGiveNoFiniteLoss) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const std::int64_t vocabulary : {1, 15, 16, 40, 5000})
      for (const std::int64_t at : {std::int64_t{0}, vocabulary / 2, vocabulary - 1})
        for (const double value : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
          auto logits = random_logits(2, vocabulary, type);
          logits[1][at] = value;
          const auto losses = losses_of(logits, {0, 0});
          EXPECT_TRUE(std::isfinite(losses[0].nll));
          EXPECT_TRUE(std::isnan(losses[1].nll)) << value << " at " << at << " of " << vocabulary;
        }
}

// Oracle: a logit of minus infinity has probability 0.
TEST(CrossEntropy, MinusInfinityIsImpossible) {
  auto logits = at::full({1, 20}, 0, at::kFloat);
  logits[0][3] = -INFINITY;
  EXPECT_NEAR(losses_of(logits, {5})[0].nll, std::log(19.0), 20 * kRoundingFloat32);
  EXPECT_EQ(losses_of(logits, {3})[0].nll, INFINITY);
  losses_of(logits, {5}, 1.0);
  EXPECT_EQ(logits[0][3].item<float>(), 0);
}

// Oracle: no rows, no losses.
TEST(CrossEntropy, NoRows) { EXPECT_TRUE(losses_of(at::full({0, 20}, 0, at::kFloat), {}).empty()); }

}  // namespace
}  // namespace anneal
