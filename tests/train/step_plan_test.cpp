#include "plan/step_plan.h"

#include <gtest/gtest.h>

#include "models/lora_adapter.h"
#include "models/trained_shape.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tiny_model.h"
#include "train/resources.h"

namespace anneal {
namespace {

class Resources : public testing::Test {
 protected:
  void SetUp() override {
    write_tiny_model(folder_.path(), tiny_config());
    model_ = std::make_unique<CausalLm>(folder_.path(), Precision{at::kFloat, std::nullopt});
  }
  StepPlan plan(std::optional<std::int64_t> tokens, const std::string& checkpointing,
                std::int64_t largest_pool, std::int64_t longest, std::int64_t free_bytes) const {
    return make_plan(shape_of(*model_), setup_of(*model_, 1), {tokens, checkpointing, largest_pool, longest},
                     free_bytes);
  }
  // What a plan takes by the two figures a layer, of the busiest micro-batch.
  std::int64_t bytes_of(const StepPlan& plan, std::int64_t tokens) const {
    return tokens * (plan.kept_layers * kept_bytes_per_token(shape_of(*model_), 4) +
                     (3 - plan.kept_layers) * recomputed_bytes_per_token(shape_of(*model_), 4));
  }

  static constexpr std::int64_t kPlenty = 1LL << 40;
  ScratchFolder folder_;
  std::unique_ptr<CausalLm> model_;
};

// Oracle: the elements of a layer's activations, added by hand.
TEST_F(Resources, BytesPerToken) {
  // input, after attention: 2 x 24; q, out: 2 x 32; k, v: 2 x 16; gate, up: 2 x 40; log-sum-exp: 4 float32
  EXPECT_EQ(kept_bytes_per_token(shape_of(*model_), 4), (48 + 64 + 32 + 80) * 4 + 4 * 4);
  EXPECT_EQ(recomputed_bytes_per_token(shape_of(*model_), 4), 24 * 4);
  add_lora(*model_, {4, 4, 0, {"q_proj", "up_proj"}}, 1);
  EXPECT_EQ(kept_bytes_per_token(shape_of(*model_), 4), (48 + 64 + 32 + 80 + 2 * 4) * 4 + 4 * 4);
  // DoRA: the outputs of both without their magnitudes.
  add_lora(*model_, {.rank = 4, .alpha = 4, .dropout = 0, .targets = {"q_proj", "up_proj"}, .use_dora = true},
           1);
  EXPECT_EQ(kept_bytes_per_token(shape_of(*model_), 4), (48 + 64 + 32 + 80 + 2 * 4 + 32 + 40) * 4 + 4 * 4);
}

// Oracle: what was asked for.
TEST_F(Resources, PlanFollowsWhatIsGiven) {
  const auto off = plan(100, "off", 1000, 50, /*free_bytes=*/1);
  EXPECT_EQ(off.micro_batch_tokens, 100);
  EXPECT_EQ(off.kept_layers, 3);
  const auto on = plan(100, "on", 1000, 50, kPlenty);
  EXPECT_EQ(on.micro_batch_tokens, 100);
  EXPECT_EQ(on.kept_layers, 0);
}

// Oracle: with plenty of memory the whole pool at once, up to 8192 tokens, and nothing recomputed.
TEST_F(Resources, PlentyOfMemory) {
  const auto small = plan(std::nullopt, "auto", 1000, 50, kPlenty);
  EXPECT_EQ(small.micro_batch_tokens, 1000);
  EXPECT_EQ(small.kept_layers, 3);
  const auto large = plan(std::nullopt, "auto", 1'000'000, 50, kPlenty);
  EXPECT_EQ(large.micro_batch_tokens, 8192);
  EXPECT_EQ(large.kept_layers, 3);
}

// Oracle: without memory the longest sample, all recomputed.
TEST_F(Resources, NoMemory) {
  const auto none = plan(std::nullopt, "auto", 1'000'000, 500, 0);
  EXPECT_EQ(none.micro_batch_tokens, 500);
  EXPECT_EQ(none.kept_layers, 0);
}

// Oracle: the bytes of the plan, which fit into the memory given; one more layer kept would not always fit.
TEST_F(Resources, PlansFit) {
  std::int64_t last = 0;
  for (std::int64_t free_bytes = 200'000; free_bytes < 20'000'000; free_bytes = free_bytes * 5 / 4) {
    const auto fixed = plan(2000, "auto", 1'000'000, 500, free_bytes);
    EXPECT_GE(fixed.kept_layers, last) << "more memory, more layers";
    last = fixed.kept_layers;
    EXPECT_TRUE(fixed.kept_layers == 0 || bytes_of(fixed, 2000) <= free_bytes) << free_bytes;
    const auto chosen = plan(std::nullopt, "auto", 1'000'000, 10, free_bytes);
    EXPECT_LE(bytes_of(chosen, chosen.micro_batch_tokens), free_bytes);
  }
  EXPECT_EQ(last, 3);
}

}  // namespace
}  // namespace anneal
