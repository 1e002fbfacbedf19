#include "hub/repository.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/scratch_folder.h"

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

// Oracle: what a reader would have meant.
TEST(HubRepository, AMisspeltIdIsMended) {
  const ScratchFolder cache;
  for (const char* name :
       {"models--Qwen--Qwen3-0.6B", "models--gpt2", "datasets--org--rows", "models--org--model"})
    std::filesystem::create_directories(cache / name);
  ::setenv("HF_HUB_CACHE", cache.path().c_str(), 1);
  const auto meant = [](RepositoryKind kind, const char* id) { return did_you_mean({kind, id}); };
  EXPECT_EQ(meant(RepositoryKind::kModel, "Qwen/Qwen3-06B"),
            "did you mean Qwen/Qwen3-0.6B, which is in the cache? If not, ");
  EXPECT_EQ(meant(RepositoryKind::kModel, "Quen/Qwen3-0.6B"),
            "did you mean Qwen/Qwen3-0.6B, which is in the cache? If not, ");
  EXPECT_EQ(meant(RepositoryKind::kModel, "gtp2"), "did you mean gpt2, which is in the cache? If not, ");
  EXPECT_EQ(meant(RepositoryKind::kDataset, "org/row"),
            "did you mean org/rows, which is in the cache? If not, ");
  for (const char* id : {"org/model", "org/gated", "org/rows", "meta-llama/Llama-3-8B"})
    EXPECT_EQ(meant(RepositoryKind::kModel, id), "") << id;
}

}  // namespace
}  // namespace anneal
