#include "nn/linear.h"

#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/tensors.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

constexpr double kFloat32 = 2e-6;  // sums of up to 40 products in float32, relative to the largest value
constexpr double kBf16 = 2e-2;     // operands and intermediate results of 8 bits
constexpr std::int64_t kTokens = 11, kIn = 40, kOut = 24, kRank = 4;
constexpr double kScale = 0.75;

enum class Adapter { kNone, kLora, kDora };

struct Case {
  Linear linear;
  at::Tensor x, dy;
  PassContext training, evaluation;

  explicit Case(at::ScalarType type, double dropout, Adapter adapter = Adapter::kLora)
      : x(random_tensor({kTokens, kIn}, 1, type)), dy(random_tensor({kTokens, kOut}, 2, type)) {
    linear.name = "layer";
    linear.weight_OI = random_tensor({kOut, kIn}, 3, type);
    training = {random_tensor({kTokens}, 9, at::kDouble).mul(1e18).to(at::kLong)};
    if (adapter == Adapter::kNone) return;
    linear.lora.reset(new Lora{Parameter("a", random_tensor({kRank, kIn}, 4), type),
                               Parameter("b", random_tensor({kOut, kRank}, 5), type), kScale, dropout, 77});
    if (adapter == Adapter::kDora)
      linear.lora->magnitude_O = Parameter("m", random_tensor({kOut}, 7).mul(2).add(3), at::kFloat);
  }
  double bound() const { return x.scalar_type() == at::kFloat ? kFloat32 : kBf16; }
};

struct Wanted {
  at::Tensor y, dx, da, db, dm;  // the last of DoRA alone
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
  const auto adapted = w + kScale * b.mm(a), directed = dropped.mm(adapted.t());
  const auto length = at::linalg_vector_norm(adapted, 2, at::IntArrayRef{1});
  // Of LoRA, magnitude / norm is 1.
  const auto ratio = (lora.magnitude_O ? in_double(lora.magnitude_O->compute) : length) / length;
  const auto scaled = dy * ratio;
  return {x.mm(w.t()) - dropped.mm(w.t()) + directed * ratio,
          dy.mm(w) + (scaled.mm(adapted) - dy.mm(w)) * factor, kScale * scaled.mm(b).t().mm(dropped),
          kScale * scaled.t().mm(dropped.mm(a.t())), (dy * directed).sum(0) / length};
}

void expect_formula(Case& c, const PassContext& context, const std::string& name) {
  const auto wanted = by_formula(c, context);
  LoraActivations kept;
  at::Tensor dx;
  EXPECT_LT(relative_error(c.linear.forward(c.x, context, kept), wanted.y), c.bound()) << name;
  c.linear.backward(c.dy, c.x, kept, context, &dx);
  EXPECT_EQ(dx.scalar_type(), c.x.scalar_type());
  EXPECT_LT(relative_error(dx, wanted.dx), c.bound()) << name;
  EXPECT_EQ(c.linear.lora->a_RI.gradient.scalar_type(), at::kFloat);
  EXPECT_LT(relative_error(c.linear.lora->a_RI.gradient, wanted.da), c.bound()) << name;
  EXPECT_LT(relative_error(c.linear.lora->b_OR.gradient, wanted.db), c.bound()) << name;
  if (c.linear.has_magnitude())
    EXPECT_LT(relative_error(c.linear.lora->magnitude_O->gradient, wanted.dm), c.bound()) << name;
}

// Oracle: y = x W^T + scale * drop(x) A^T B^T and its derivatives, in float64; of DoRA y = x W^T +
// (magnitude / norm * (W + scale B A) - W) drop(x), the norm a constant.
TEST(Linear, AdaptersEqualTheFormula) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const auto adapter : {Adapter::kLora, Adapter::kDora})
      for (const double dropout : {0.0, 0.1, 0.5}) {
        Case c(type, dropout, adapter);
        expect_formula(c, c.training, "dropout " + std::to_string(dropout));
      }
}

// Oracle: the same formula without a mask.
// The share of an update, far below the rounding of what it is added to, that comes out on average.
TEST(Linear, ASmallUpdateIsNotLostInBfloat16) {
  constexpr std::int64_t kRows = 64, kWide = 128;
  for (const auto adapter : {Adapter::kLora, Adapter::kDora}) {
    Case c(at::kBFloat16, 0.25, adapter);
    c.x = random_tensor({kRows, kWide}, 11, at::kBFloat16);
    c.linear.weight_OI = random_tensor({kWide, kWide}, 12, at::kBFloat16);
    c.training = {random_tensor({kRows}, 13, at::kDouble).mul(1e18).to(at::kLong)};
    auto& lora = *c.linear.lora;
    lora.a_RI = Parameter("a", random_tensor({kRank, kWide}, 14), at::kBFloat16);
    lora.b_OR = Parameter("b", random_tensor({kWide, kRank}, 15).mul(5e-4), at::kBFloat16);
    if (lora.magnitude_O) lora.magnitude_O = Parameter("m", c.linear.row_norms(), at::kFloat);
    LoraActivations kept, unused;
    const auto y = in_double(c.linear.forward(c.x, c.training, kept));
    const auto update = lora.scale * in_double(kept.low_rank_NR).mm(in_double(lora.b_OR.compute).t());
    lora.b_OR = Parameter("b", random_tensor({kWide, kRank}, 15).mul(0), at::kBFloat16);
    const auto without = in_double(c.linear.forward(c.x, c.training, unused));
    const auto share = ((y - without) * update).sum() / (update * update).sum();
    EXPECT_NEAR(share.item<double>(), 1, 0.1);
    EXPECT_LT((update.abs().max() / y.abs().mean()).item<double>(), 1.0 / 256);
  }
}

TEST(Linear, EvaluationDoesNotDrop) {
  for (const auto adapter : {Adapter::kLora, Adapter::kDora}) {
    Case c(at::kFloat, 0.5, adapter);
    expect_formula(c, c.evaluation, "evaluation");
  }
}

// Oracle: the layer without an adapter, bit for bit: a fresh magnitude is the length of the row.
TEST(Linear, AFreshDoraChangesNothing) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    Case fresh(type, 0.1, Adapter::kDora), bare(type, 0, Adapter::kNone);
    fresh.linear.lora->b_OR.value.zero_();
    fresh.linear.lora->b_OR.refresh_compute();
    fresh.linear.lora->magnitude_O->value.copy_(fresh.linear.row_norms());
    LoraActivations kept;
    const auto wanted = bare.linear.forward(bare.x, bare.training, kept);
    EXPECT_TRUE(bits_are_equal(fresh.linear.forward(fresh.x, fresh.training, kept), wanted));
    EXPECT_TRUE(bits_are_equal(fresh.linear.forward(fresh.x, fresh.evaluation, kept), wanted));
  }
}

// Oracle: the layer before it was packed; one rounding of the result instead of two.
TEST(Linear, APackedDoraIsTheSame) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    Case c(type, 0.1, Adapter::kDora);
    c.linear.bias_O = random_tensor({kOut}, 8, type);
    LoraActivations kept;
    const auto wanted = in_double(c.linear.forward(c.x, c.evaluation, kept));
    c.linear.pack(type);
    EXPECT_LT(relative_error(c.linear.forward(c.x, c.evaluation, kept), wanted), c.bound());
  }
}

// Oracle: the text of the error; a row that its update makes up for is none.
TEST(Linear, DoraRefusesARowOfZeros) {
  LoraActivations kept;
  const auto refused = [&](Case& c) {
    expect_user_error(ExitCode::kModel, "row 3 is zero", [&] { c.linear.forward(c.x, c.evaluation, kept); });
  };
  Case zeros(at::kFloat, 0, Adapter::kDora), cancelled(at::kFloat, 0, Adapter::kDora);
  zeros.linear.weight_OI[3].zero_();
  EXPECT_TRUE(zeros.linear.forward(zeros.x, zeros.evaluation, kept).isfinite().all().item<bool>());
  zeros.linear.lora->weight_squares_O.reset();
  zeros.linear.lora->b_OR.value[3].zero_();
  refused(zeros);
  // What an update leaves of a row that it cancels is rounding, and no direction either.
  const auto& lora = *cancelled.linear.lora;
  cancelled.linear.weight_OI[3].copy_(lora.b_OR.value[3].unsqueeze(0).mm(lora.a_RI.value)[0] * -kScale);
  refused(cancelled);
}

// Oracle: x W^T + b in float64.
TEST(Linear, FrozenLayerIsAProduct) {
  Case c(at::kFloat, 0, Adapter::kNone);
  LoraActivations kept;
  at::Tensor dx;
  const auto product = in_double(c.x).mm(in_double(c.linear.weight_OI).t());
  EXPECT_LT(relative_error(c.linear.forward(c.x, c.training, kept), product), kFloat32);
  EXPECT_FALSE(kept.low_rank_NR.defined());
  c.linear.backward(c.dy, c.x, kept, c.training, &dx);
  EXPECT_LT(relative_error(dx, in_double(c.dy).mm(in_double(c.linear.weight_OI))), kFloat32);
  EXPECT_FALSE(c.linear.is_trained());
  c.linear.bias_O = random_tensor({kOut}, 8);
  EXPECT_LT(relative_error(c.linear.forward(c.x, c.training, kept), product + in_double(c.linear.bias_O)),
            kFloat32);
}

// Oracle: the gradients of one call, twice.
TEST(Linear, GradientsAddUp) {
  Case c(at::kFloat, 0.1, Adapter::kDora);
  const auto wanted = by_formula(c, c.training);
  LoraActivations kept;
  auto dx = random_tensor({kTokens, kIn}, 6);
  const auto before = in_double(dx).clone();
  c.linear.forward(c.x, c.training, kept);
  c.linear.backward(c.dy, c.x, kept, c.training, &dx);
  c.linear.backward(c.dy, c.x, kept, c.training, &dx);
  EXPECT_LT(relative_error(dx, before + 2 * wanted.dx), kFloat32);
  EXPECT_LT(relative_error(c.linear.lora->a_RI.gradient, 2 * wanted.da), kFloat32);
  EXPECT_LT(relative_error(c.linear.lora->b_OR.gradient, 2 * wanted.db), kFloat32);
  EXPECT_LT(relative_error(c.linear.lora->magnitude_O->gradient, 2 * wanted.dm), kFloat32);
}

// Oracle: the gradients of a call that wants dx, bit for bit.
TEST(Linear, WithoutDxTheParametersGetTheSame) {
  Case with(at::kFloat, 0.1, Adapter::kDora), without(at::kFloat, 0.1, Adapter::kDora);
  LoraActivations kept;
  at::Tensor dx;
  with.linear.forward(with.x, with.training, kept);
  with.linear.backward(with.dy, with.x, kept, with.training, &dx);
  without.linear.backward(without.dy, without.x, kept, without.training, nullptr);
  EXPECT_TRUE(bits_are_equal(with.linear.lora->a_RI.gradient, without.linear.lora->a_RI.gradient));
  EXPECT_TRUE(bits_are_equal(with.linear.lora->b_OR.gradient, without.linear.lora->b_OR.gradient));
  EXPECT_TRUE(
      bits_are_equal(with.linear.lora->magnitude_O->gradient, without.linear.lora->magnitude_O->gradient));
}

// Oracle: dy^T x and the sum of dy, in float64.
TEST(Linear, FullTrainingHasGradientsOfWeightAndBias) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    Case c(type, 0, Adapter::kNone);
    Parameter weight("w", c.linear.weight_OI, type), bias("b", random_tensor({kOut}, 8), type);
    c.linear.weight_parameter = &weight;
    c.linear.bias_parameter = &bias;
    c.linear.weight_OI = weight.compute;
    c.linear.bias_O = bias.compute;
    const LoraActivations none;
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
  LoraActivations kept;
  at::Tensor dx, same_dx;
  EXPECT_TRUE(
      bits_are_equal(c.linear.forward(c.x, c.training, kept), same.linear.forward(c.x, c.training, kept)));
  c.linear.backward(c.dy, c.x, kept, c.training, &dx);
  same.linear.backward(c.dy, c.x, kept, c.training, &same_dx);
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
