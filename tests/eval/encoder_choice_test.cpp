#include "eval/encoder_choice.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

const std::filesystem::path kShared = ANNEAL_SOURCE_DIR "/../shared/data/bertscore";

TextEncoderConfig config_of(const std::string& model_type, std::int64_t layers) {
  TextEncoderConfig config;
  config.model_type = model_type;
  config.num_hidden_layers = layers;
  return config;
}

template <class Call>
void expect_refused(ExitCode code, const std::vector<std::string>& parts, const Call& call) {
  const auto message = expect_user_error(code, parts.front(), call);
  for (const auto& part : parts) EXPECT_THAT(message, testing::HasSubstr(part));
}

// Oracle: the table of bert_score 0.3.13 (spec 7.7).
TEST(EncoderChoice, DefaultLayerByNameThenByDepth) {
  const BertScoreOptions options;
  EXPECT_EQ(choose_layer(options, "roberta-large", config_of("roberta", 24)), 17);
  EXPECT_EQ(choose_layer(options, "FacebookAI/roberta-large", config_of("roberta", 24)), 17);
  EXPECT_EQ(choose_layer(options, "bert-base-chinese", config_of("bert", 12)), 8);
  EXPECT_EQ(choose_layer(options, "mine", config_of("roberta", 12)), 10);
  EXPECT_EQ(choose_layer(options, "mine", config_of("bert", 12)), 9);
  EXPECT_EQ(choose_layer(options, "mine", config_of("distilbert", 6)), 5);
  expect_refused(ExitCode::kUsage, {"no default layer", "mine", "--bertscore_layer", "from 1 to 6"},
                 [&] { choose_layer(options, "mine", config_of("bert", 6)); });
}

TEST(EncoderChoice, GivenLayer) {
  BertScoreOptions options;
  options.bertscore_layer = 3;
  EXPECT_EQ(choose_layer(options, "roberta-large", config_of("roberta", 24)), 3);
  options.bertscore_layer = 25;
  expect_refused(ExitCode::kUsage, {"24 layers", "25", "--bertscore_layer"},
                 [&] { choose_layer(options, "roberta-large", config_of("roberta", 24)); });
}

// Oracle: raw and rescaled scores of roberta-large that bert_score's own tests expect.
TEST(EncoderChoice, RescalesAsBertScore) {
  if (!std::filesystem::exists(kShared)) GTEST_SKIP() << "../shared is absent: its scores are not compared";
  constexpr double kTolerance = 1e-4;  // the expected values are rounded at 5 places, then divided by 0.17
  const Json cases = read_json_file(kShared / "roberta_large_expected.json", ExitCode::kInternal).at("cases");
  const Json &raw = cases.at("test_score"), &rescaled = cases.at("test_score_rescale");
  const auto baseline = choose_baseline({}, "roberta-large", 17);
  for (std::size_t pair = 0; pair < 3; ++pair) {
    const auto score = rescale({raw["P"][pair], raw["R"][pair], raw["F"][pair]}, baseline);
    EXPECT_NEAR(score.precision, rescaled["P"][pair], kTolerance);
    EXPECT_NEAR(score.recall, rescaled["R"][pair], kTolerance);
    EXPECT_NEAR(score.f1, rescaled["F"][pair], kTolerance);
  }
}

// Oracle: the published files; the table of known encoders against what is read from them.
TEST(EncoderChoice, BaselinesArePublishedOnes) {
  if (!std::filesystem::exists(kShared))
    GTEST_SKIP() << "../shared is absent: its baselines are not compared";
  std::size_t compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kShared / "rescale_baseline/en")) {
    const std::string name = entry.path().stem();
    TextEncoderConfig config = config_of("", 24);
    BertScoreOptions options;
    const auto layer = choose_layer(options, name, config);
    const auto ours = choose_baseline(options, name, layer);
    options.bertscore_baseline = entry.path().string();
    const auto theirs = choose_baseline(options, name, layer);
    EXPECT_EQ(ours.precision, theirs.precision) << name;
    EXPECT_EQ(ours.recall, theirs.recall) << name;
    EXPECT_EQ(ours.f1, theirs.f1) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 5u);
}

TEST(EncoderChoice, BaselineThatIsNotKnown) {
  BertScoreOptions options;
  const auto choose = [&] { choose_baseline(options, "roberta-large", 16); };
  expect_refused(ExitCode::kUsage, {"layer 16 of roberta-large", "--bertscore_baseline FILE"}, choose);
  const ScratchFolder scratch;
  options.bertscore_baseline = (scratch / "baseline.tsv").string();
  expect_refused(ExitCode::kData, {"baseline.tsv"}, choose);
  scratch.write("baseline.tsv", "LAYER,P,R,F\n15,0.1,0.2,0.3\n");
  expect_refused(ExitCode::kData, {"no line for layer 16", "baseline.tsv"}, choose);
  scratch.write("baseline.tsv", "LAYER,P,R,F\n15,0.1,0.2,0.3\n16,0.1;0.2\n");
  expect_refused(ExitCode::kData, {"16,0.1;0.2", "baseline.tsv:3"}, choose);
}

TEST(EncoderChoice, EncoderThatIsNotThere) {
  ASSERT_EQ(::setenv("HF_HUB_CACHE", "/nonexistent/hub", 1), 0);
  BertScoreOptions options;
  try {
    find_encoder(options);
    FAIL();
  } catch (const EncoderUnavailable& error) {
    EXPECT_EQ(error.code(), ExitCode::kModel);
    EXPECT_NE(std::string(error.what()).find("roberta-large"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("/nonexistent/hub"), std::string::npos);
  }
  options.bertscore_model = "/nonexistent/encoder";
  expect_refused(ExitCode::kUsage, {"/nonexistent/encoder", "--bertscore_model"},
                 [&] { find_encoder(options); });
  ASSERT_EQ(::unsetenv("HF_HUB_CACHE"), 0);
}

}  // namespace
}  // namespace anneal
