#include "nn/attention.h"

#include <ATen/ops/bmm.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/tensors.h"

namespace anneal {
namespace {

constexpr double kFloat32 = 5e-6;     // sums of up to 200 products in float32, relative to the largest value
constexpr double kBf16Output = 1e-2;  // weights of 8 bits, and a result rounded to 8 bits
constexpr double kBf16Gradient = 2e-2;                             // the same twice over
const std::vector<std::int64_t> kStarts{0, 1, 64, 128, 193, 393};  // segments of 1, 63, 64, 65 and 200 tokens

struct Case {
  std::int64_t kv_heads, group, head_dim;
  at::ScalarType type;
};

std::vector<Case> cases(at::ScalarType type) {
  std::vector<Case> all;
  for (const std::int64_t group : {1, 2, 3, 7}) all.push_back({2, group, 16, type});
  for (const std::int64_t head_dim : {8, 16, 64, 128}) all.push_back({1, 2, head_dim, type});
  return all;
}

std::string text_of(const Case& c) {
  return std::to_string(c.kv_heads) + " kv heads, group " + std::to_string(c.group) + ", head size " +
         std::to_string(c.head_dim) + (c.type == at::kFloat ? ", float32" : ", bfloat16");
}

struct Inputs {
  at::Tensor q, k, v, d_out;
  double scale;
  Inputs(const Case& c, std::int64_t tokens)
      : q(random_tensor({tokens, c.kv_heads * c.group, c.head_dim}, 1, at::kDouble).mul(3).to(c.type)),
        k(random_tensor({tokens, c.kv_heads, c.head_dim}, 2, at::kDouble).mul(3).to(c.type)),
        v(random_tensor({tokens, c.kv_heads, c.head_dim}, 3, c.type)),
        d_out(random_tensor({tokens, c.kv_heads * c.group, c.head_dim}, 4, c.type)),
        scale(1 / std::sqrt(static_cast<double>(c.head_dim))) {}
};

struct Result {
  at::Tensor out, log_sum_exp, dq, dk, dv;
};

using Attention = decltype(&attention);
using Backward = decltype(&attention_backward);

Result run(const Inputs& in, SegmentStarts starts, Attention forward, Backward backward,
           const AttentionReach& reach = {}) {
  const auto output = forward(in.q, in.k, in.v, starts, in.scale, reach);
  const auto gradients = backward(in.d_out, in.q, in.k, in.v, output, starts, in.scale, reach);
  return {output.out_NHD, output.log_sum_exp_HN, gradients.dq_NHD, gradients.dk_NKD, gradients.dv_NKD};
}

// Softmax attention of the textbook in float64, all segments at once under one mask; gradients by autograd.
Result by_definition(const Inputs& in, SegmentStarts starts, const AttentionReach& reach = {}) {
  const auto tokens = in.q.size(0), group = in.q.size(1) / in.k.size(1);
  auto visible = at::zeros({tokens, tokens}, at::kBool);
  for (std::size_t segment = 0; segment + 1 < starts.size(); ++segment) {
    const auto begin = starts[segment], length = starts[segment + 1] - begin;
    auto seen = at::ones({length, length}, at::kBool);
    if (reach.is_causal) seen = seen.tril();
    if (reach.window < length) seen = seen.triu(1 - reach.window);
    visible.slice(0, begin, begin + length).slice(1, begin, begin + length).copy_(seen);
  }
  auto q = in_double(in.q).clone(), k = in_double(in.k).clone(), v = in_double(in.v).clone();
  for (auto* leaf : {&q, &k, &v}) leaf->set_requires_grad(true);
  const auto heads_first = [](const at::Tensor& x, std::int64_t times) {
    return x.transpose(0, 1).repeat_interleave(times, 0);
  };
  const auto scores = (at::bmm(heads_first(q, 1), heads_first(k, group).transpose(1, 2)) * in.scale)
                          .masked_fill(visible.logical_not(), -INFINITY);
  const auto out = at::bmm(at::softmax(scores, -1), heads_first(v, group)).transpose(0, 1);
  out.backward(in_double(in.d_out));
  return {out.detach(), at::logsumexp(scores.detach(), -1), q.grad(), k.grad(), v.grad()};
}

void expect_close(const Result& actual, const Result& wanted, at::ScalarType type, const std::string& name) {
  const bool is_float = type == at::kFloat;
  EXPECT_LT(relative_error(actual.out, wanted.out), is_float ? kFloat32 : kBf16Output) << name;
  EXPECT_LT(relative_error(actual.log_sum_exp, wanted.log_sum_exp), kFloat32) << name;
  EXPECT_LT(relative_error(actual.dq, wanted.dq), is_float ? kFloat32 : kBf16Gradient) << name;
  EXPECT_LT(relative_error(actual.dk, wanted.dk), is_float ? kFloat32 : kBf16Gradient) << name;
  EXPECT_LT(relative_error(actual.dv, wanted.dv), is_float ? kFloat32 : kBf16Gradient) << name;
  EXPECT_EQ(actual.out.scalar_type(), type);
  EXPECT_EQ(actual.log_sum_exp.scalar_type(), at::kFloat);
}

// Oracle: the definition in float64, its gradients by autograd.
TEST(Attention, PlainEqualsTheDefinition) {
  for (const auto& c : cases(at::kFloat)) {
    const Inputs in(c, kStarts.back());
    expect_close(run(in, kStarts, plain::attention, plain::attention_backward), by_definition(in, kStarts),
                 c.type, text_of(c));
  }
}

// Oracle: the definition in float64 on the same inputs, its gradients by autograd.
TEST(Attention, EqualsTheDefinition) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const auto& c : cases(type)) {
      const Inputs in(c, kStarts.back());
      expect_close(run(in, kStarts, attention, attention_backward), by_definition(in, kStarts), c.type,
                   text_of(c));
    }
}

// Oracle: the definition in float64 on the same inputs, forward.
TEST(Attention, OfAllTokensEqualsTheDefinition) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const auto& c : cases(type))
      for (const auto forward : {attention, plain::attention}) {
        const Inputs in(c, kStarts.back());
        const auto actual = forward(in.q, in.k, in.v, kStarts, in.scale, kReachesAll);
        const auto wanted = by_definition(in, kStarts, kReachesAll);
        EXPECT_LT(relative_error(actual.out_NHD, wanted.out), type == at::kFloat ? kFloat32 : kBf16Output)
            << text_of(c);
        EXPECT_LT(relative_error(actual.log_sum_exp_HN, wanted.log_sum_exp), kFloat32) << text_of(c);
      }
}

// Oracle: the definition; windows within a tile, of whole tiles, and longer than most segments.
TEST(Attention, WithAWindowEqualsTheDefinition) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const auto& c : cases(type))
      for (const std::int64_t window : {1, 7, 64, 100}) {
        const Inputs in(c, kStarts.back());
        const AttentionReach reach{window};
        const auto wanted = by_definition(in, kStarts, reach);
        const auto name = text_of(c) + ", window " + std::to_string(window);
        expect_close(run(in, kStarts, attention, attention_backward, reach), wanted, type, name);
        if (type == at::kFloat)
          expect_close(run(in, kStarts, plain::attention, plain::attention_backward, reach), wanted, type,
                       name);
      }
}

// Oracle: the definition; every length up to two tiles, where the last tile of queries or keys is partial.
TEST(Attention, EveryLengthEqualsTheDefinition) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (std::int64_t length = 1; length <= 130; length += length < 20 ? 1 : 11) {
      const Case c{1, 3, 8, type};
      const Inputs in(c, length);
      const std::vector<std::int64_t> starts{0, length};
      expect_close(run(in, starts, attention, attention_backward), by_definition(in, starts), type,
                   std::to_string(length) + " tokens");
    }
}

// Oracle: the other segments, before the change, bit for bit.
TEST(Attention, SegmentsAreIndependent) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const Case c{2, 2, 16, type};
    const Inputs in(c, kStarts.back());
    const auto before = run(in, kStarts, attention, attention_backward);
    const auto begin = kStarts[2], end = kStarts[3];
    for (const auto& tensor : {in.q, in.k, in.v, in.d_out}) tensor.slice(0, begin, end).fill_(100);
    const auto after = run(in, kStarts, attention, attention_backward);
    const auto others_are_equal = [&](const at::Tensor& a, const at::Tensor& b, std::int64_t dim) {
      return bits_are_equal(a.slice(dim, 0, begin), b.slice(dim, 0, begin)) &&
             bits_are_equal(a.slice(dim, end), b.slice(dim, end));
    };
    EXPECT_TRUE(others_are_equal(after.out, before.out, 0));
    EXPECT_TRUE(others_are_equal(after.log_sum_exp, before.log_sum_exp, 1));
    EXPECT_TRUE(others_are_equal(after.dq, before.dq, 0));
    EXPECT_TRUE(others_are_equal(after.dk, before.dk, 0));
    EXPECT_TRUE(others_are_equal(after.dv, before.dv, 0));
    EXPECT_FALSE(bits_are_equal(after.out, before.out));
  }
}

// Oracle: the same segment alone, bit for bit.
TEST(Attention, ASegmentIsTheSameAloneAndInABatch) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const Inputs all({2, 3, 16, type}, kStarts.back());
    const auto batch = run(all, kStarts, attention, attention_backward);
    const auto begin = kStarts[3], end = kStarts[4];
    Inputs one = all;
    for (auto* tensor : {&one.q, &one.k, &one.v, &one.d_out})
      *tensor = tensor->slice(0, begin, end).contiguous();
    const std::vector<std::int64_t> starts{0, end - begin};
    const auto alone = run(one, starts, attention, attention_backward);
    EXPECT_TRUE(bits_are_equal(alone.out, batch.out.slice(0, begin, end)));
    EXPECT_TRUE(bits_are_equal(alone.dq, batch.dq.slice(0, begin, end)));
    EXPECT_TRUE(bits_are_equal(alone.dk, batch.dk.slice(0, begin, end)));
    EXPECT_TRUE(bits_are_equal(alone.dv, batch.dv.slice(0, begin, end)));
  }
}

// Oracle: causality; what comes later changes no earlier output, bit for bit.
TEST(Attention, LaterTokensAreNotSeen) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const Inputs in({1, 2, 16, type}, 100);
    const std::vector<std::int64_t> starts{0, 100};
    const auto before = attention(in.q, in.k, in.v, starts, in.scale).out_NHD;
    for (const auto& tensor : {in.q, in.k, in.v}) tensor.slice(0, 70).fill_(50);
    const auto after = attention(in.q, in.k, in.v, starts, in.scale).out_NHD;
    EXPECT_TRUE(bits_are_equal(after.slice(0, 0, 70), before.slice(0, 0, 70)));
  }
}

// Oracle: closed forms; a token alone takes its own value, equal keys the mean of the values.
TEST(Attention, ClosedForms) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const Inputs in({1, 1, 8, type}, 3);
    const std::vector<std::int64_t> ones{0, 1, 2, 3}, whole{0, 3};
    EXPECT_TRUE(bits_are_equal(attention(in.q, in.k, in.v, ones, in.scale).out_NHD, in.v));
    const auto equal_keys = at::full({3, 1, 8}, 1, at::TensorOptions(type));
    const auto output = attention(in.q, equal_keys, in.v, whole, in.scale).out_NHD;
    EXPECT_LT(relative_error(output[2], in_double(in.v).mean(0)),
              type == at::kFloat ? kFloat32 : kBf16Output);
  }
}

// Oracle: the definition; scores of some thousands neither overflow nor vanish.
TEST(Attention, LargeScores) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    Inputs in({1, 2, 16, type}, 90);
    in.scale = 200;
    const std::vector<std::int64_t> starts{0, 90};
    const auto wanted = by_definition(in, starts);
    const auto actual = run(in, starts, attention, attention_backward);
    constexpr double kLargeScores = 2e-2;  // float32 scores of some thousands are off by 1e-3
    EXPECT_LT(relative_error(actual.out, wanted.out), kLargeScores);
    EXPECT_LT(relative_error(actual.log_sum_exp, wanted.log_sum_exp), 1e-5);
    EXPECT_TRUE(std::isfinite(relative_error(actual.dq, wanted.dq)));
  }
}

// Oracle: a NaN in a key reaches every token that sees it.
TEST(Attention, NanIsNotLost) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const std::int64_t bad : {0, 17, 63, 64, 90}) {
      const Inputs in({1, 2, 16, type}, 100);
      in.k.slice(0, bad, bad + 1).fill_(NAN);
      const std::vector<std::int64_t> starts{0, 100};
      const auto out = attention(in.q, in.k, in.v, starts, in.scale).out_NHD.to(at::kFloat);
      EXPECT_TRUE(out.slice(0, bad).isnan().all().item<bool>()) << bad;
      EXPECT_FALSE(out.slice(0, 0, bad).isnan().any().item<bool>()) << bad;
    }
}

}  // namespace
}  // namespace anneal
