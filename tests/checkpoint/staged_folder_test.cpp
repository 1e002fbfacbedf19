#include "checkpoint/staged_folder.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

using Names = std::set<std::string>;

class StagedFolderTest : public testing::Test {
 protected:
  void put(const std::string& content) const {
    StagedFolder staged(folder_ / "out");
    write_file_atomically(staged.path() / content, content);
    staged.commit();
  }
  // What a process leaves that dies in the middle.
  void die_in_the_middle() const {
    if (const auto child = ::fork(); child == 0) {
      StagedFolder staged(folder_ / "out");
      write_file_atomically(staged.path() / "half", "half");
      ::_exit(0);
    } else {
      ::waitpid(child, nullptr, 0);
    }
  }
  ScratchFolder folder_;
};

// Oracle: names by hand.
TEST_F(StagedFolderTest, AppearsWhole) {
  put("first");
  EXPECT_EQ(folder_.names(), Names{"out"});
  EXPECT_EQ(folder_.read("out/first"), "first");
  put("second");
  EXPECT_EQ(folder_.names(), Names{"out"});
  EXPECT_EQ(folder_.read("out/second"), "second");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/first")) << "replaced, not added to";
}

// Oracle: names by hand.
TEST_F(StagedFolderTest, WithoutCommitNothingIsLeft) {
  put("first");
  { StagedFolder dropped(folder_ / "out"); }
  EXPECT_EQ(folder_.names(), Names{"out"});
  EXPECT_EQ(folder_.read("out/first"), "first");
}

// Oracle: names by hand; the folder of a process that lives, and folders of other targets, are not touched.
TEST_F(StagedFolderTest, LeftoversOfTheDeadAreSwept) {
  die_in_the_middle();
  ASSERT_EQ(folder_.names().size(), 1U);
  folder_.write("out2.tmp-1/x", "");
  folder_.write("out.tmp-file", "a file, not a folder");
  const StagedFolder living(folder_ / "out");
  sweep_leftovers(folder_ / "out");
  EXPECT_EQ(folder_.names(), (Names{"out2.tmp-1", "out.tmp-file", living.path().filename().string()}));
}

// Oracle: the text of the error.
TEST_F(StagedFolderTest, Refusals) {
  expect_user_error(ExitCode::kResources, "1000000.00 TB are needed",
                    [&] { require_free_space(folder_.path(), 1'000'000'000'000'000'000, "--flag"); });
  require_free_space(folder_.path(), 1, "--flag");
  folder_.write("file", "");
  expect_user_error(ExitCode::kUsage, "cannot make the folder", [&] { StagedFolder(folder_ / "file/out"); });
}

}  // namespace
}  // namespace anneal
