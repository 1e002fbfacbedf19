#include "nn/paged_attention.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "nn/attention.h"
#include "tests/support/simd_targets.h"
#include "tests/support/tensors.h"

namespace anneal {
namespace {

constexpr at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16};
constexpr AttentionReach kReaches[] = {{}, {1}, {13}, {40}};  // within a block, and across some
double bound(at::ScalarType type) { return type == at::kFloat ? 5e-6 : 1e-2; }

// Sequences with blocks of their own.
struct Cache {
  KvBlockShape shape;
  std::vector<std::vector<at::Tensor>> blocks;  // of each sequence

  Cache(const KvBlockShape& block_shape, const std::vector<std::int64_t>& lengths) : shape(block_shape) {
    for (const auto length : lengths) {
      blocks.emplace_back();
      for (std::int64_t token = 0; token < length; token += kBlockTokens)
        blocks.back().push_back(at::zeros({shape.elements()}, shape.type));
    }
  }
};

struct Inputs {
  at::Tensor q, k, v;
  Inputs(std::int64_t tokens, std::int64_t heads, std::int64_t kv_heads, std::int64_t dim,
         at::ScalarType type)
      : q(random_tensor({tokens, heads, dim}, 1, type)),
        k(random_tensor({tokens, kv_heads, dim}, 2, type)),
        v(random_tensor({tokens, kv_heads, dim}, 3, type)) {}
};

// Oracle: the plain form of attention over the whole sequences.
TEST(PagedAttention, OnePassEqualsPlainAttention) {
  for_each_simd_target([](const char* target) {
    for (const auto type : kTypes)
      for (const std::int64_t dim : {8, 64}) {
        const Inputs in(103, 6, 2, dim, type);
        const KvBlockShape shape{2, 2, dim, type};
        const Cache cache(shape, {70, 1, 32});
        const std::vector<PagedSequence> sequences{
            {0, 70, 0, cache.blocks[0]}, {70, 1, 0, cache.blocks[1]}, {71, 32, 0, cache.blocks[2]}};
        const std::vector<std::int64_t> starts{0, 70, 71, 103};
        for (const auto& reach : kReaches) {
          const auto expected = plain::attention(in.q, in.k, in.v, starts, 0.3, reach).out_NHD;
          for (const std::int64_t layer : {1, 0}) {
            const auto out = paged_attention(in.q, in.k, in.v, sequences, shape, layer, 0.3, reach);
            EXPECT_LT(relative_error(out, expected), bound(type))
                << target << " head size " << dim << " window " << reach.window;
          }
        }
      }
  });
}

TEST(PagedAttention, PassesOfAnySizeGiveTheSameBits) {
  for (const auto type : kTypes)
    for (const auto& reach : kReaches) {
      const std::int64_t length = 100;
      const Inputs in(length, 4, 2, 16, type);
      const KvBlockShape shape{1, 2, 16, type};
      const Cache whole(shape, {length});
      const std::vector<PagedSequence> at_once{{0, length, 0, whole.blocks[0]}};
      const auto expected = paged_attention(in.q, in.k, in.v, at_once, shape, 0, 0.25, reach);
      const Cache cut(shape, {length});
      std::vector<at::Tensor> parts;
      const std::vector<std::int64_t> cuts{0, 40, 41, 42, 75, 100};
      for (std::size_t index = 0; index + 1 < cuts.size(); ++index) {
        const auto part = [&](const at::Tensor& all) {
          return all.slice(0, cuts[index], cuts[index + 1]).contiguous();
        };
        const std::vector<PagedSequence> one{{0, cuts[index + 1] - cuts[index], cuts[index], cut.blocks[0]}};
        parts.push_back(paged_attention(part(in.q), part(in.k), part(in.v), one, shape, 0, 0.25, reach));
      }
      EXPECT_TRUE(at::equal(at::cat(parts), expected)) << reach.window;
    }
}

}  // namespace
}  // namespace anneal
