// Every instruction set that the kernels are compiled for, against the plain forms.
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "nn/attention.h"
#include "nn/cross_entropy.h"
#include "nn/rms_norm.h"
#include "nn/rope_frequencies.h"
#include "nn/rotary.h"
#include "nn/swiglu.h"
#include "tests/support/simd_targets.h"
#include "tests/support/tensors.h"

namespace anneal {
namespace {

constexpr double kFloat32 = 5e-6;  // sums of up to 172 products in float32, relative to the largest value
constexpr double kBf16 = 1e-2;     // weights of 8 bits, and results rounded to 8 bits

double bound(at::ScalarType type) { return type == at::kFloat ? kFloat32 : kBf16; }
constexpr at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16};

// Oracle: the plain forms.
TEST(SimdTargets, NormsEqualThePlainForm) {
  for_each_simd_target([](const char* target) {
    for (const auto type : kTypes) {
      const auto x = random_tensor({5, 172}, 1, type), dy = random_tensor({5, 172}, 2, type);
      const auto weight = random_tensor({172}, 3);
      auto y = at::empty_like(x), dx = at::empty_like(x), inverse_rms = at::empty({5});
      rms_norm(x, weight, 1e-5, y, inverse_rms);
      rms_norm_backward(dy, x, weight, inverse_rms, dx, false);
      auto plain_y = at::empty_like(x), plain_dx = at::empty_like(x), plain_rms = at::empty({5});
      plain::rms_norm(x, weight, 1e-5, plain_y, plain_rms);
      plain::rms_norm_backward(dy, x, weight, plain_rms, plain_dx, false);
      EXPECT_LT(relative_error(y, plain_y), bound(type)) << target;
      EXPECT_LT(relative_error(dx, plain_dx), bound(type)) << target;
    }
  });
}

// Oracle: the plain forms.
TEST(SimdTargets, RotationAndActivationEqualThePlainForm) {
  for_each_simd_target([](const char* target) {
    for (const auto type : kTypes) {
      auto x = random_tensor({6, 2, 24}, 1, type);
      const auto table =
          rope_table(at::tensor({0, 1, 2, 3, 4, 5}), inverse_frequencies({.rotary_dim = 24}, 0));
      auto rotated = x.clone();
      plain::apply_rope(rotated, table, Rotation::kForward);
      apply_rope(x, table, Rotation::kForward);
      EXPECT_LT(relative_error(x, rotated), bound(type)) << target;
      const auto gate = random_tensor({83}, 1, at::kDouble).mul(300).to(type),
                 up = random_tensor({83}, 2, type);
      auto activation = at::empty_like(gate), plain_activation = at::empty_like(gate);
      swiglu(gate, up, activation);
      plain::swiglu(gate, up, plain_activation);
      EXPECT_LT(relative_error(activation, plain_activation), bound(type)) << target;
    }
  });
}

// Oracle: the plain form, and NaN for NaN wherever it stands.
TEST(SimdTargets, CrossEntropyEqualsThePlainForm) {
  const auto targets = at::tensor(std::vector<std::int64_t>{3, 0, 82});
  for_each_simd_target([&](const char* target) {
    for (const auto type : kTypes) {
      auto logits = random_tensor({3, 83}, 1, at::kDouble).mul(9).to(type);
      const RowLosses wanted(3, at::kCPU), losses(3, at::kCPU);
      plain::cross_entropy(logits, targets, std::nullopt, wanted);
      cross_entropy(logits, targets, std::nullopt, losses);
      EXPECT_LT((losses.nll_N - wanted.nll_N).abs().max().item<double>(), 2e-5) << target;
      for (const std::int64_t at : {0, 7, 15, 40, 63, 64, 82}) {
        auto bad = logits.clone();
        bad[1][at] = NAN;
        cross_entropy(bad, targets, std::nullopt, losses);
        const auto nll = on_host(losses);
        EXPECT_TRUE(std::isnan(nll[1].nll) && std::isfinite(nll[2].nll)) << target << " at " << at;
      }
    }
  });
}

// Oracle: the plain form.
TEST(SimdTargets, AttentionEqualsThePlainForm) {
  const std::vector<std::int64_t> starts{0, 70, 83};
  for_each_simd_target([&](const char* target) {
    for (const auto type : kTypes) {
      const auto q = random_tensor({83, 6, 24}, 1, type), k = random_tensor({83, 2, 24}, 2, type);
      const auto v = random_tensor({83, 2, 24}, 3, type), d_out = random_tensor({83, 6, 24}, 4, type);
      const auto actual = attention(q, k, v, starts, 0.5), wanted = plain::attention(q, k, v, starts, 0.5);
      EXPECT_LT(relative_error(actual.out_NHD, wanted.out_NHD), bound(type)) << target;
      EXPECT_LT(relative_error(actual.log_sum_exp_HN, wanted.log_sum_exp_HN), kFloat32) << target;
      const auto gradients = attention_backward(d_out, q, k, v, actual, starts, 0.5);
      const auto plain = plain::attention_backward(d_out, q, k, v, wanted, starts, 0.5);
      EXPECT_LT(relative_error(gradients.dq_NHD, plain.dq_NHD), 2 * bound(type)) << target;
      EXPECT_LT(relative_error(gradients.dk_NKD, plain.dk_NKD), 2 * bound(type)) << target;
      EXPECT_LT(relative_error(gradients.dv_NKD, plain.dv_NKD), 2 * bound(type)) << target;
    }
  });
}

// Oracle: the build; where the processor has AVX-512, the fused kernels of float32 are what the tests run.
TEST(SimdTargets, TheFusedPathIsTested) {
  if ((hwy::SupportedTargets() & HWY_AVX3) == 0) GTEST_SKIP() << "no AVX-512";
  EXPECT_TRUE(has_fused_attention(at::kFloat));
}

}  // namespace
}  // namespace anneal
