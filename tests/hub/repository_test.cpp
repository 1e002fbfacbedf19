#include "hub/repository.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace anneal {
namespace {

// Oracle: huggingface_hub's validate_repo_id, by hand.
TEST(HubRepository, IdsHaveAShape) {
  for (const char* id : {"Qwen/Qwen3-8B", "squad", "a/b.c_d"}) EXPECT_TRUE(is_hub_id(id)) << id;
  for (const char* path :
       {"", "/", "a/b/c", "../a", "./a", "/a", "a/", "~/a", "a b/c", "-a/b", "a/..", "a--b/c", "a/b..c"})
    EXPECT_FALSE(is_hub_id(path)) << path;
  EXPECT_TRUE(is_hub_id(std::string(96, 'a')));
  EXPECT_FALSE(is_hub_id(std::string(97, 'a')));
}

// Oracle: huggingface_hub's constants.py, by hand.
TEST(HubRepository, TheCacheLiesWhereTheEnvironmentSays) {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"})
    ::unsetenv(name);
  ::setenv("HOME", "/h", 1);
  EXPECT_EQ(hub_cache(), "/h/.cache/huggingface/hub");
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(hub_cache(), "/x/huggingface/hub");
  ::setenv("HF_HOME", "/y", 1);
  EXPECT_EQ(hub_cache(), "/y/hub");
  ::setenv("HF_HUB_CACHE", "/z", 1);
  EXPECT_EQ(hub_cache(), "/z");
}

TEST(HubRepository, ARevisionStaysInsideTheCache) {
  for (const char* revision : {"main", "v1.0", "refs/pr/1", "refs/convert/parquet"}) {
    std::vector<Problem> problems;
    check_revision(revision, "--r", problems);
    EXPECT_TRUE(problems.empty()) << revision;
  }
  for (const char* revision : {"", "../x", "/x", "-x", "a b"}) {
    std::vector<Problem> problems;
    check_revision(revision, "--r", problems);
    EXPECT_EQ(problems.size(), 1u) << revision;
  }
}

}  // namespace
}  // namespace anneal
