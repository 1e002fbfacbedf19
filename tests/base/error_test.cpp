#include "base/error.h"

#include <gtest/gtest.h>

namespace anneal {
namespace {

// Oracle: the text written by hand.
TEST(UserError, TextHasAParagraphAProblem) {
  const UserError error(ExitCode::kData, {{"is wrong", "rows.jsonl:3", "mend it"}, {"is absent", "", ""}});
  EXPECT_STREQ(error.what(), "rows.jsonl:3: is wrong\n  try: mend it\nis absent");
  EXPECT_EQ(error.code(), ExitCode::kData);
  EXPECT_EQ(error.problems().size(), 2U);
}

// Oracle: the exit codes that users' scripts know.
TEST(UserError, ExitCodesAreFixed) {
  EXPECT_EQ(static_cast<int>(ExitCode::kUsage), 2);
  EXPECT_EQ(static_cast<int>(ExitCode::kData), 3);
  EXPECT_EQ(static_cast<int>(ExitCode::kModel), 4);
  EXPECT_EQ(static_cast<int>(ExitCode::kNumerical), 5);
  EXPECT_EQ(static_cast<int>(ExitCode::kResources), 6);
  EXPECT_EQ(static_cast<int>(ExitCode::kInterrupted), 130);
}

// Oracle: what was given.
TEST(UserError, FailThrowsOneProblem) {
  try {
    fail(ExitCode::kModel, "problem", "where", "remedy");
  } catch (const UserError& error) {
    EXPECT_EQ(error.code(), ExitCode::kModel);
    EXPECT_STREQ(error.what(), "where: problem\n  try: remedy");
    return;
  }
  FAIL();
}

}  // namespace
}  // namespace anneal
