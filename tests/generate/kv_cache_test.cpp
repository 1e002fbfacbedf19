#include "generate/kv_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace anneal {
namespace {

constexpr KvBlockShape kShape{1, 1, 8, at::kFloat};

std::vector<std::int32_t> ids_from(std::int32_t first, std::size_t count) {
  std::vector<std::int32_t> ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

TEST(KvCache, HoldsNoMoreThanItMay) {
  KvCache cache(kShape, 3);
  KvCache::Blocks a, b;
  EXPECT_TRUE(cache.grow(a, 2 * kBlockTokens));
  EXPECT_TRUE(cache.grow(a, kBlockTokens));  // has them already
  EXPECT_EQ(cache.blocks_in_use(), 2);
  EXPECT_FALSE(cache.grow(b, kBlockTokens + 1));
  EXPECT_TRUE(b.ids.empty());
  cache.release(a);
  EXPECT_EQ(cache.blocks_in_use(), 0);
  EXPECT_TRUE(cache.grow(b, 3 * kBlockTokens));
}

TEST(KvCache, SharesFullBlocksOfEqualBeginnings) {
  KvCache cache(kShape, 100);
  const auto ids = ids_from(0, 3 * kBlockTokens);
  KvCache::Blocks first, second, third;
  EXPECT_EQ(cache.share(first, ids), 0);
  ASSERT_TRUE(cache.grow(first, 3 * kBlockTokens));
  cache.publish(first, ids, 3 * kBlockTokens - 1);

  auto other = ids;
  other[2 * kBlockTokens] = 9999;
  EXPECT_EQ(cache.share(second, other), 2 * kBlockTokens);
  EXPECT_EQ(second.ids, (std::vector<std::int64_t>{first.ids[0], first.ids[1]}));
  // The last token has to be reckoned: a prompt of two blocks shares one.
  EXPECT_EQ(cache.share(third, std::span(ids).first(2 * kBlockTokens)), kBlockTokens);
  auto changed = ids;
  changed[0] = 9999;
  KvCache::Blocks fourth;
  EXPECT_EQ(cache.share(fourth, changed), 0);

  // Shared blocks outlive the one that filled them, and are forgotten with the last user.
  cache.release(first);
  EXPECT_EQ(cache.blocks_in_use(), 2);
  cache.release(third);
  cache.release(second);
  EXPECT_EQ(cache.blocks_in_use(), 0);
  KvCache::Blocks fifth;
  EXPECT_EQ(cache.share(fifth, ids), 0);
}

}  // namespace
}  // namespace anneal
