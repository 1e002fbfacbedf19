// Oracle: names by hand.
#include "base/nearest.h"

#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "tests/support/scratch_folder.h"

namespace anneal {
namespace {

TEST(Nearest, AMisspeltNameFindsWhatWasMeant) {
  const std::vector<std::string> names = {"train", "test", "prepare"};
  EXPECT_EQ(nearest_name("trian", names), "train");
  EXPECT_EQ(nearest_name("tset", names), "test");
  EXPECT_EQ(nearest_name("preprae", names), "prepare");
  EXPECT_EQ(nearest_name("score", names), "");
  EXPECT_EQ(nearest_name("x", std::vector<std::string>{"y"}), "");
}

TEST(Nearest, AMisspeltPartOfAPathIsMended) {
  const ScratchFolder scratch;
  std::filesystem::create_directories(scratch.path() / "models" / "Qwen3-0.6B");
  const auto meant = (scratch.path() / "models" / "Qwen3-0.6B").string();
  EXPECT_EQ(nearest_path(scratch.path() / "models" / "Qwen-0.6B"), meant);
  EXPECT_EQ(nearest_path(scratch.path() / "model" / "qwen3-0.6B"), meant);
  EXPECT_EQ(nearest_path(scratch.path() / "models" / "Llama-3"), "");
  EXPECT_EQ(nearest_path(scratch.path() / "models"), "");  // it is there
}

}  // namespace
}  // namespace anneal
