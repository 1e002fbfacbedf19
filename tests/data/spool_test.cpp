#include "data/spool.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "data/split.h"
#include "tests/support/scratch_folder.h"

namespace anneal {
namespace {

constexpr std::uint64_t kBase = 16257;

// Of lengths around the pieces that are read, and one beyond all of them.
std::string line_of(std::int64_t index) {
  const auto bits = splitmix64(static_cast<std::uint64_t>(index));
  const std::size_t length = index == 77 ? 9 << 20 : index % 50 == 0 ? bits % 150'000 : bits % 4'100;
  return std::to_string(index) + std::string(length, static_cast<char>('a' + index % 26)) + "\n";
}

void expect_lines(Spool& spool, const std::vector<std::int64_t>& order) {
  for (const auto index : order) {
    std::string text = "before";
    spool.append_line_to(text, index);
    ASSERT_EQ(text, "before" + line_of(index));
  }
}

// Oracle: the lines themselves. 25 MB are more than one run.
TEST(Spool, GivesEveryLineInAnyOrder) {
  const ScratchFolder folder;
  Spool spool(folder.path(), kBase);
  for (std::int64_t index = 0; index < 3000; ++index) spool.append(line_of(index));
  EXPECT_EQ(spool.lines(), 3000);
  spool.finish();
  expect_lines(spool, hashed_order(3000, kBase));
  expect_lines(spool, hashed_order(3000, kBase + 1));
  expect_lines(spool, {2999, 2999, 0, 1, 2, 77, 78, 77, 0});
  EXPECT_TRUE(folder.names().empty()) << "the file has no name";
}

TEST(Spool, HoldsNothing) {
  const ScratchFolder folder;
  Spool spool(folder.path(), kBase);
  spool.finish();
  EXPECT_EQ(spool.lines(), 0);
}

}  // namespace
}  // namespace anneal
