#include "nn/linear.h"

#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/tensors.h"

namespace anneal {
namespace {

constexpr double kFloat32 = 2e-6;  // sums of up to 40 products in float32, relative to the largest value
constexpr double kBf16 = 2e-2;     // operands and intermediate results of 8 bits
constexpr std::int64_t kTokens = 11, kIn = 40, kOut = 24, kRank = 4;
constexpr double kScale = 0.75;

struct Case {
  Linear linear;
  at::Tensor x, dy;
  PassContext training, evaluation;

  explicit Case(at::ScalarType type, double dropout, bool with_lora = true)
      : x(random_tensor({kTokens, kIn}, 1, type)), dy(random_tensor({kTokens, kOut}, 2, type)) {
    linear.name = "layer";
    linear.weight_OI = random_tensor({kOut, kIn}, 3, type);
    training = {random_tensor({kTokens}, 9, at::kDouble).mul(1e18).to(at::kLong)};
    if (with_lora)
      linear.lora.reset(new Lora{Parameter("a", random_tensor({kRank, kIn}, 4), type),
                                 Parameter("b", random_tensor({kOut, kRank}, 5), type), kScale, dropout, 77});
  }
  double bound() const { return x.scalar_type() == at::kFloat ? kFloat32 : kBf16; }
};

struct Wanted {
  at::Tensor y, dx, da, db;
};

// The formulas in float64, with the plain mask.
Wanted by_formula(const Case& c, const PassContext& context) {
  const auto& lora = *c.linear.lora;
  const auto x = in_double(c.x), dy = in_double(c.dy), w = in_double(c.linear.weight_OI);
  const auto a = in_double(lora.a_RI.compute), b = in_double(lora.b_OR.compute);
  auto factor = x * 0 + 1;
  if (context.training() && lora.dropout > 0)
    factor = in_double(plain::dropout_mask(kIn, {context.dropout_row_keys, lora.module_key}, lora.dropout)) /
             (1 - lora.dropout);
  const auto dropped = x * factor;
  return {x.mm(w.t()) + kScale * dropped.mm(a.t()).mm(b.t()), dy.mm(w) + kScale * dy.mm(b).mm(a) * factor,
          kScale * dy.mm(b).t().mm(dropped), kScale * dy.t().mm(dropped.mm(a.t()))};
}

void expect_formula(Case& c, const PassContext& context, const std::string& name) {
  const auto wanted = by_formula(c, context);
  LoraActivations kept, dx;
  EXPECT_LT(relative_error(c.linear.forward(c.x, context, low_rank), wanted.y), c.bound()) << name;
  c.linear.backward(c.dy, c.x, low_rank, context, &dx);
  EXPECT_EQ(dx.scalar_type(), c.x.scalar_type());
  EXPECT_LT(relative_error(dx, wanted.dx), c.bound()) << name;
  EXPECT_EQ(c.linear.lora->a_RI.gradient.scalar_type(), at::kFloat);
  EXPECT_LT(relative_error(c.linear.lora->a_RI.gradient, wanted.da), c.bound()) << name;
  EXPECT_LT(relative_error(c.linear.lora->b_OR.gradient, wanted.db), c.bound()) << name;
}

// Oracle: y = x W^T + scale * drop(x) A^T B^T and its derivatives, in float64.
TEST(Linear, LoraEqualsTheFormula) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const double dropout : {0.0, 0.1, 0.5}) {
      Case c(type, dropout);
      expect_formula(c, c.training, "dropout " + std::to_string(dropout));
    }
}

// Oracle: the same formula without a mask.
TEST(Linear, EvaluationDoesNotDrop) {
  Case c(at::kFloat, 0.5);
  expect_formula(c, c.evaluation, "evaluation");
}

// Oracle: x W^T + b in float64.
TEST(Linear, FrozenLayerIsAProduct) {
  Case c(at::kFloat, 0, /*with_lora=*/false);
  LoraActivations kept, dx;
  const auto product = in_double(c.x).mm(in_double(c.linear.weight_OI).t());
  EXPECT_LT(relative_error(c.linear.forward(c.x, c.training, low_rank), product), kFloat32);
  EXPECT_FALSE(low_rank.defined());
  c.linear.backward(c.dy, c.x, low_rank, c.training, &dx);
  EXPECT_LT(relative_error(dx, in_double(c.dy).mm(in_double(c.linear.weight_OI))), kFloat32);
  EXPECT_FALSE(c.linear.is_trained());
  c.linear.bias_O = random_tensor({kOut}, 8);
  EXPECT_LT(relative_error(c.linear.forward(c.x, c.training, low_rank), product + in_double(c.linear.bias_O)),
            kFloat32);
}

// Oracle: the gradients of one call, twice.
TEST(Linear, GradientsAddUp) {
  Case c(at::kFloat, 0.1);
  const auto wanted = by_formula(c, c.training);
  LoraActivations kept, dx = random_tensor({kTokens, kIn}, 6);
  const auto before = in_double(dx).clone();
  c.linear.forward(c.x, c.training, low_rank);
  c.linear.backward(c.dy, c.x, low_rank, c.training, &dx);
  c.linear.backward(c.dy, c.x, low_rank, c.training, &dx);
  EXPECT_LT(relative_error(dx, before + 2 * wanted.dx), kFloat32);
  EXPECT_LT(relative_error(c.linear.lora->a_RI.gradient, 2 * wanted.da), kFloat32);
  EXPECT_LT(relative_error(c.linear.lora->b_OR.gradient, 2 * wanted.db), kFloat32);
}

// Oracle: the gradients of a call that wants dx, bit for bit.
TEST(Linear, WithoutDxTheParametersGetTheSame) {
  Case with(at::kFloat, 0.1), without(at::kFloat, 0.1);
  LoraActivations kept, dx;
  with.linear.forward(with.x, with.training, low_rank);
  with.linear.backward(with.dy, with.x, low_rank, with.training, &dx);
  without.linear.backward(without.dy, without.x, low_rank, without.training, nullptr);
  EXPECT_TRUE(bits_are_equal(with.linear.lora->a_RI.gradient, without.linear.lora->a_RI.gradient));
  EXPECT_TRUE(bits_are_equal(with.linear.lora->b_OR.gradient, without.linear.lora->b_OR.gradient));
}

// Oracle: dy^T x and the sum of dy, in float64.
TEST(Linear, FullTrainingHasGradientsOfWeightAndBias) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    Case c(type, 0, /*with_lora=*/false);
    Parameter weight("w", c.linear.weight_OI, type), bias("b", random_tensor({kOut}, 8), type);
    c.linear.weight_parameter = &weight;
    c.linear.bias_parameter = &bias;
    c.linear.weight_OI = weight.compute;
    c.linear.bias_O = bias.compute;
    at::Tensor none;
    c.linear.backward(c.dy, c.x, none, c.training, nullptr);
    EXPECT_LT(relative_error(weight.gradient, in_double(c.dy).t().mm(in_double(c.x))), c.bound());
    EXPECT_LT(relative_error(bias.gradient, in_double(c.dy).sum(0)), kFloat32);
    EXPECT_TRUE(c.linear.is_trained());
  }
}

// Oracle: the weight rounded to the compute dtype by hand.
TEST(Linear, AWeightOfAnotherDtypeIsConverted) {
  Case c(at::kBFloat16, 0), same(at::kBFloat16, 0);
  c.linear.weight_OI = c.linear.weight_OI.to(at::kFloat);
  LoraActivations kept, dx, same_dx;
  EXPECT_TRUE(bits_are_equal(c.linear.forward(c.x, c.training, low_rank),
                             same.linear.forward(c.x, c.training, low_rank)));
  c.linear.backward(c.dy, c.x, low_rank, c.training, &dx);
  same.linear.backward(c.dy, c.x, low_rank, c.training, &same_dx);
  EXPECT_TRUE(bits_are_equal(dx, same_dx));
}

// Oracle: the fp32 master rounded once; in float32 both are one tensor.
TEST(Parameter, ComputeCopyFollowsTheMaster) {
  Parameter rounded("p", random_tensor({3, 5}, 1), at::kBFloat16),
      same("p", random_tensor({3, 5}, 1), at::kFloat);
  for (auto* parameter : {&rounded, &same}) {
    parameter->value.add_(0.123);
    parameter->refresh_compute();
    EXPECT_TRUE(bits_are_equal(parameter->compute, parameter->value.to(parameter->compute.scalar_type())));
  }
  EXPECT_TRUE(same.compute.is_same(same.value));
  EXPECT_EQ(rounded.gradient.abs().max().item<float>(), 0);
}

// Oracle: the tensor it was made from; training must not write to it.
TEST(Parameter, OwnsItsValues) {
  const auto initial = random_tensor({4}, 1), before = initial.clone();
  Parameter parameter("p", initial, at::kFloat);
  parameter.value.add_(1);
  EXPECT_TRUE(bits_are_equal(initial, before));
}

}  // namespace
}  // namespace anneal
