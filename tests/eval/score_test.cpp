#include "eval/score.h"

#include <gtest/gtest.h>

#include "tests/support/reference_model.h"
#include "tests/support/scratch_folder.h"

namespace anneal {
namespace {

constexpr double kFloat32 = 1e-5;   // NLL of a float32 model, relative
constexpr double kOtherCut = 1e-6;  // float32 products of other shapes, relative

class Score : public testing::Test {
 protected:
  void SetUp() override {
    write_model(folder_.path(), config_, weights_);
    model_ = std::make_unique<CausalLm>(folder_.path(), Precision{at::kFloat, std::nullopt});
    for (const std::size_t length : {5, 40, 2, 17, 40, 1})
      ids_.push_back(random_ids(length, length + ids_.size()));
    for (std::size_t index = 0; index < ids_.size(); ++index)
      samples_.push_back({ids_[index], static_cast<std::int64_t>(index)});
  }
  std::vector<SampleScore> score(std::int64_t budget) const {
    return score_samples(*model_, samples_, budget, alone_, [](std::int64_t) {});
  }

  mutable ProcessGroup alone_;
  const Json config_ = tiny_config();
  const Tensors weights_ = tiny_weights(config_);
  ScratchFolder folder_;
  std::unique_ptr<CausalLm> model_;
  std::vector<std::vector<std::int32_t>> ids_;
  std::vector<SampleView> samples_;
};

// Oracle: the textbook formulas in float64, sample by sample.
TEST_F(Score, EqualsTheReference) {
  ReferenceModel reference(config_, weights_, *model_);
  const auto scores = score(50);
  for (std::size_t index = 0; index < samples_.size(); ++index) {
    const auto [wanted, trained] = reference.loss({samples_[index]}, {});
    EXPECT_EQ(scores[index].tokens, trained) << index;
    EXPECT_NEAR(scores[index].nll, wanted.item<double>(), kFloat32 * (1 + wanted.item<double>())) << index;
  }
}

// Oracle: the argmax of the reference's logits.
TEST_F(Score, ExactMeansEveryTokenIsTheArgmax) {
  ReferenceModel reference(config_, weights_, *model_);
  for (auto& ids : ids_)  // from the third token on, what the model itself would say
    for (std::size_t at = 3; at < ids.size(); ++at) {
      const std::vector<std::int32_t> before(ids.begin(), ids.begin() + at);
      ids[at] =
          static_cast<std::int32_t>(reference.logits({before, 0})[at - 1].argmax().item<std::int64_t>());
    }
  for (auto& sample : samples_) sample.prompt_length = 3;
  for (const auto& each : score(50)) EXPECT_TRUE(each.exact);
  ids_[1][39] = (ids_[1][39] + 1) % 37;
  EXPECT_FALSE(score(50)[1].exact);
  EXPECT_TRUE(score(50)[4].exact);
}

// Oracle: each sample alone.
TEST_F(Score, DoesNotDependOnTheCut) {
  const auto alone = score(1);
  for (const std::int64_t budget : {10, 45, 1000}) {
    const auto scores = score(budget);
    for (std::size_t index = 0; index < scores.size(); ++index) {
      EXPECT_NEAR(scores[index].nll, alone[index].nll, kOtherCut * (1 + alone[index].nll)) << budget;
      EXPECT_EQ(scores[index].tokens, alone[index].tokens);
    }
  }
}

// Oracle: the number of samples, in steps that rise.
TEST_F(Score, ReportsProgress) {
  std::vector<std::int64_t> done;
  score_samples(*model_, samples_, 45, alone_, [&](std::int64_t count) { done.push_back(count); });
  ASSERT_FALSE(done.empty());
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), 6);
}

// Oracle: hand numbers; tokens weigh, not samples.
TEST(MeanLoss, WeighsTokens) {
  const auto mean = mean_loss({{6, 3, true}, {1, 1, false}, {0, 0, true}});
  EXPECT_EQ(mean.loss, 7.0 / 4);
  EXPECT_EQ(mean.tokens, 4);
  EXPECT_EQ(mean.samples, 3);
  EXPECT_EQ(mean_loss({}).samples, 0);
}

}  // namespace
}  // namespace anneal
