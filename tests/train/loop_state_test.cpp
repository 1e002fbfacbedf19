#include "train/loop_state.h"

#include <cstring>
#include <limits>

#include "tests/support/user_error.h"

namespace anneal {
namespace {

constexpr const char* kWhere = "run/resume/step-7/loop_state.json";

// Values that a decimal text of too few digits, or a float, would change.
LoopState awkward_state() {
  LoopState state;
  state.step = (std::int64_t{1} << 53) + 1;
  state.position = {3, std::numeric_limits<std::int64_t>::max()};
  state.updates = 11;
  state.window = {0.1 + 0.2, 4, 5, 1.0 / 3, 1e22 / 7};
  state.total_loss = std::numeric_limits<double>::denorm_min();
  state.total_tokens = 6;
  state.total_samples = 7;
  state.total_flops = std::numeric_limits<double>::max();
  state.seconds = 2;  // a whole number stays a floating-point one
  state.skipped_in_a_row = 2;
  state.evaluated_step = -1;
  state.best = {std::nextafter(1.5, 2), 9, 8, -0.0, 1};
  state.results = {{"train_loss", 0.1}, {"stop_reason", "max_steps"}};
  return state;
}

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

LoopState read_back(const LoopState& state) {
  return loop_state_of(parse_json(to_json(state).dump(2), kWhere, ExitCode::kModel), kWhere);
}

// Oracle: equivalence: what is read is what was written, bit for bit.
TEST(LoopState, SurvivesItsFile) {
  const auto state = awkward_state(), read = read_back(state);
  EXPECT_EQ(read.step, state.step);
  EXPECT_EQ(read.position, state.position);
  EXPECT_EQ(read.updates, state.updates);
  EXPECT_TRUE(same_bits(read.window.sum_of_losses, state.window.sum_of_losses));
  EXPECT_EQ(read.window.steps, state.window.steps);
  EXPECT_EQ(read.window.tokens, state.window.tokens);
  EXPECT_TRUE(same_bits(read.window.seconds, state.window.seconds));
  EXPECT_TRUE(same_bits(read.window.flops, state.window.flops));
  EXPECT_TRUE(same_bits(read.total_loss, state.total_loss));
  EXPECT_EQ(read.total_tokens, state.total_tokens);
  EXPECT_EQ(read.total_samples, state.total_samples);
  EXPECT_TRUE(same_bits(read.total_flops, state.total_flops));
  EXPECT_TRUE(same_bits(read.seconds, state.seconds));
  EXPECT_EQ(read.skipped_in_a_row, state.skipped_in_a_row);
  EXPECT_EQ(read.evaluated_step, state.evaluated_step);
  EXPECT_TRUE(same_bits(read.best.best_loss.value(), state.best.best_loss.value()));
  EXPECT_EQ(read.best.best_step, state.best.best_step);
  EXPECT_EQ(read.best.evaluations_without_gain, state.best.evaluations_without_gain);
  EXPECT_TRUE(same_bits(read.best.counted_loss.value(), state.best.counted_loss.value()));
  EXPECT_EQ(read.best.bad_in_a_row, state.best.bad_in_a_row);
  EXPECT_EQ(read.results, state.results);
  EXPECT_EQ(to_json(read), to_json(state));
}

// Oracle: equivalence; what is unset stays unset.
TEST(LoopState, AFreshOneSurvivesToo) {
  const auto read = read_back({});
  EXPECT_EQ(read.best.best_loss, std::nullopt);
  EXPECT_EQ(read.best.counted_loss, std::nullopt);
  EXPECT_TRUE(read.results.is_null());
  EXPECT_EQ(to_json(read), to_json(LoopState()));
}

// Oracle: the text of the error: the key and the file.
TEST(LoopState, EachKeyIsNeededAndHasAType) {
  const auto whole = to_json(awkward_state());
  for (const auto& [key, value] : whole.items()) {
    SCOPED_TRACE(key);
    auto damaged = whole;
    damaged.erase(key);
    auto text = expect_user_error(ExitCode::kModel, '"' + key + '"', [&] { loop_state_of(damaged, kWhere); });
    EXPECT_THAT(text, testing::HasSubstr(kWhere));
    damaged[key] = "7";
    text = expect_user_error(ExitCode::kModel, '"' + key + '"', [&] { loop_state_of(damaged, kWhere); });
    EXPECT_THAT(text, testing::HasSubstr(kWhere));
    if (!value.is_number_integer()) continue;
    damaged[key] = 2.5;
    expect_user_error(ExitCode::kModel, '"' + key + '"', [&] { loop_state_of(damaged, kWhere); });
  }
}

// Oracle: the text of the error.
TEST(LoopState, AnotherFormatIsRefused) {
  auto json = to_json({});
  json["version"] = 2;
  const auto text =
      expect_user_error(ExitCode::kModel, "is of format 2", [&] { loop_state_of(json, kWhere); });
  EXPECT_THAT(text, testing::HasSubstr(kWhere));
}

// Oracle: by hand: EarlyStoppingCallback(patience 0) would stop at once, so that a run without has no state
// of one.
TEST(TrainerState, WithoutEarlyStoppingThereIsNoCallback) {
  TrainOptions options;
  for (const std::int64_t patience : {0, 3}) {
    options.early_stopping_patience = patience;
    const auto json = trainer_state_json({}, options, {10, 4, 5}, 0, Json::array());
    const auto& callbacks = json.at("stateful_callbacks");
    EXPECT_TRUE(callbacks.contains("TrainerControl"));
    EXPECT_EQ(callbacks.contains("EarlyStoppingCallback"), patience > 0);
    EXPECT_EQ(json.at("num_train_epochs"), 3);
    for (const char* key : {"best_global_step", "best_metric", "best_model_checkpoint"})
      EXPECT_TRUE(json.at(key).is_null()) << key;
  }
}

}  // namespace
}  // namespace anneal
