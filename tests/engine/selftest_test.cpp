#include "engine/selftest.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "device/device.h"
#include "engine/selftest_stamp.h"
#include "nn/attention.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

// Oracle: the processor's kernels and the forms in ATen operations, each by its own tests.
TEST(SelfTest, TheProcessorPasses) {
  const auto checks = self_checks(c10::kCPU);
  EXPECT_GE(checks.size(), 10U);
  for (const auto& result : run_checks(checks)) EXPECT_TRUE(result.passed()) << describe(result);
}

// Oracle: results by hand; what throws, is wrong, or is no number does not pass.
TEST(SelfTest, AWrongDeviceDoesNotPass) {
  const auto passes = [](const std::function<double()>& error) {
    return run_checks({{"it", 1e-3, error}}).front().passed();
  };
  EXPECT_TRUE(passes([] { return 1e-4; }));
  EXPECT_FALSE(passes([] { return 1e-2; }));
  EXPECT_FALSE(passes([] { return NAN; }));
  EXPECT_FALSE(passes([]() -> double { throw std::runtime_error("no kernel image"); }));
  EXPECT_NE(
      describe(run_checks({{"it", 0, []() -> double { throw std::runtime_error("no image\nat"); }}}).front())
          .find("FAILED it: no image"),
      std::string::npos);
}

// Oracle: the contract; once a stamp, and none where a check fails.
TEST(SelfTest, RunsOnceForAStamp) {
  const ScratchFolder folder;
  const auto stamp = folder / "cache/selftest-1";
  int runs = 0, lines = 0;
  const auto say = [&](const std::string&) { ++lines; };
  const std::vector<SelfCheck> good{{"good", 1, [&] { return ++runs, 0.5; }}};
  const std::vector<SelfCheck> bad{{"good", 1, [&] { return 0.5; }}, {"flash", 1, [&] { return 2.0; }}};
  const auto text =
      expect_user_error(ExitCode::kResources, "flash", [&] { require_checks(bad, stamp, say); });
  EXPECT_EQ(text.find("good"), std::string::npos) << text;
  EXPECT_FALSE(std::filesystem::exists(stamp));
  require_checks(good, stamp, say);
  require_checks(good, stamp, say);
  EXPECT_EQ(runs, 1);
  EXPECT_NE(folder.read("cache/selftest-1").find("good"), std::string::npos);
  require_checks(good, "", say);
  EXPECT_EQ(runs, 2) << "without a place for stamps it runs each time";
  folder.write("file", "");
  require_checks(good, folder / "file/selftest-1", say);
  EXPECT_EQ(lines, 5) << "four starts, and a stamp that cannot be written";
}

// Oracle: the XDG rule for caches.
TEST(SelfTest, StampsLieInTheUsersCache) {
  ::setenv("XDG_CACHE_HOME", "/xdg", 1);
  const auto stamp = selftest_stamp("one");
  EXPECT_EQ(stamp.parent_path(), "/xdg/anneal");
  EXPECT_NE(stamp, selftest_stamp("another"));
  EXPECT_EQ(stamp, selftest_stamp("one"));
  ::unsetenv("XDG_CACHE_HOME");
  ::setenv("HOME", "/home/a", 1);
  EXPECT_EQ(selftest_stamp("one").parent_path(), "/home/a/.cache/anneal");
  ::unsetenv("HOME");
  EXPECT_TRUE(selftest_stamp("one").empty());
}

}  // namespace
}  // namespace anneal
