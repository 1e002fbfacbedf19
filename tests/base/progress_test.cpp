// Oracle: texts by hand.
#include "base/progress.h"

#include <gtest/gtest.h>

#include "base/duration.h"

namespace anneal {
namespace {

TEST(Progress, TheTimeLeftGoesByWhatIsDone) {
  EXPECT_EQ(progress_text("tokenizing", 1200, 4800, "rows", "310 rows/s", 4),
            "tokenizing: 1200/4800 rows, 310 rows/s, 12s left");
  EXPECT_EQ(progress_text("merging", 1, 181, "tensors", "", 60), "merging: 1/181 tensors, 3h00m left");
}

TEST(Progress, AtBothEndsThereIsNoTimeLeft) {
  EXPECT_EQ(progress_text("scoring", 0, 10, "samples", "", 3), "scoring: 0/10 samples");
  EXPECT_EQ(progress_text("scoring", 10, 10, "samples", "", 3), "scoring: 10/10 samples");
}

TEST(Duration, IsInTheUnitThatCounts) {
  EXPECT_EQ(duration_text(0.4), "0s");
  EXPECT_EQ(duration_text(59.6), "1m00s");
  EXPECT_EQ(duration_text(123), "2m03s");
  EXPECT_EQ(duration_text(3 * 3600 + 5 * 60 + 59), "3h05m");
}

}  // namespace
}  // namespace anneal
