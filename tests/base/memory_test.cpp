#include "base/memory.h"

#include <gtest/gtest.h>

namespace anneal {
namespace {

// Oracle: this process lives, and fits into memory.
TEST(Memory, FiguresArePlausible) {
  EXPECT_GT(resident_memory_bytes(), 1 << 20);
  EXPECT_GT(available_memory_bytes(), 1 << 20);
  EXPECT_LT(resident_memory_bytes(), 1LL << 36);
}

}  // namespace
}  // namespace anneal
