// Oracle of the golden: tests/golden/trainer_decisions/decisions.json, made with transformers' Trainer.
#include "train/best_tracker.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "base/json.h"

namespace anneal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// A loss that is not finite stands there as text.
double loss_of(const Json& json) {
  return json.is_string() ? std::strtod(json.get<std::string>().c_str(), nullptr) : json.get<double>();
}

std::vector<std::int64_t> counters(BestTracker tracker, const std::vector<double>& losses) {
  std::vector<std::int64_t> all;
  for (std::size_t index = 0; index < losses.size(); ++index) {
    tracker.add(static_cast<std::int64_t>(index) + 1, losses[index]);
    all.push_back(tracker.state().evaluations_without_gain);
  }
  return all;
}

using Counters = std::vector<std::int64_t>;

TEST(BestTrackerGolden, DecidesAsTheTrainerOfTransformers) {
  const auto cases =
      read_json_file(ANNEAL_SOURCE_DIR "/tests/golden/trainer_decisions/decisions.json", ExitCode::kInternal);
  ASSERT_GE(cases.size(), 200U);
  std::size_t stopped = 0, best_below_threshold = 0, not_finite = 0;
  for (const auto& golden : cases) {
    SCOPED_TRACE(golden.dump());
    const auto& decisions = golden.at("decisions");
    BestTracker tracker(golden.at("patience"), golden.at("threshold"), "best", {});
    for (const auto& wanted : decisions) {
      const auto step = wanted.at("step").get<std::int64_t>();
      const double loss = loss_of(wanted.at("loss"));
      const bool is_best = tracker.add(step, loss);
      const auto& state = tracker.state();
      EXPECT_EQ(is_best, wanted.at("best_step") == step) << step;
      EXPECT_EQ(state.best_step, wanted.at("best_step")) << step;
      EXPECT_EQ(state.best_loss, wanted.at("best_metric").get<double>()) << step;
      if (!wanted.at("counter").is_null()) {
        EXPECT_EQ(state.evaluations_without_gain, wanted.at("counter")) << step;
      }
      // Where a run comes to its end, both stop whatever the evaluation says.
      const bool is_last = &wanted == &decisions.back();
      if (!is_last || golden.at("stops")) {
        EXPECT_EQ(tracker.stops(), is_last) << step;
      }
      best_below_threshold += is_best && state.evaluations_without_gain > 0;
      not_finite += !std::isfinite(loss);
    }
    stopped += golden.at("stops").get<bool>();
  }
  EXPECT_GT(stopped, 20U);
  EXPECT_GT(best_below_threshold, 20U);
  EXPECT_GT(not_finite, 20U);
}

// Oracle: counters by hand. Gains of 0.5 over the best never count; over the last that counted, every third
// does.
TEST(BestTracker, AnAnchorAddsUpSmallGains) {
  const std::vector<double> losses{10, 9.5, 9, 8.5, 8, 7.5, 7, 8, 6};
  EXPECT_EQ(counters({0, 1.0, "best", {}}, losses), (Counters{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(counters({0, 1.0, "anchor", {}}, losses), (Counters{0, 1, 2, 0, 1, 2, 0, 1, 2}));
  BestTracker tracker(0, 1.0, "anchor", {});
  for (std::int64_t step = 1; step <= 9; ++step)
    tracker.add(step, losses[static_cast<std::size_t>(step - 1)]);
  EXPECT_EQ(tracker.state().best_loss, 6.0);
  EXPECT_EQ(tracker.state().best_step, 9);
  EXPECT_EQ(tracker.state().counted_loss, 7.0);
}

// Oracle: the rule, by hand: no gain, no best. transformers takes a first NaN or infinity for an improvement
// (counter 0), keeps infinity as its best, and would take -infinity for the best of all.
TEST(BestTracker, ALossThatIsNotFiniteIsNoGain) {
  for (const double bad : {kNan, kInfinity, -kInfinity})
    for (const char* reference : {"best", "anchor"}) {
      EXPECT_EQ(counters({0, 0.1, reference, {}}, {bad, bad, 2, bad, 1.5, 1.45, bad}),
                (Counters{1, 2, 0, 1, 0, 1, 2}));
      BestTracker tracker(3, 0.1, reference, {});
      EXPECT_FALSE(tracker.add(1, bad));
      EXPECT_EQ(tracker.state().best_loss, std::nullopt);
      EXPECT_EQ(tracker.state().best_step, 0);
      EXPECT_TRUE(tracker.add(2, 2));
      EXPECT_FALSE(tracker.add(3, bad));
      EXPECT_EQ(tracker.state().best_loss, 2.0);
      EXPECT_EQ(tracker.state().best_step, 2);
    }
}

// Oracle: counts by hand; a finite loss, gain or not, begins anew.
TEST(BestTracker, CountsLossesInARowThatAreNotFinite) {
  BestTracker tracker(0, 0, "best", {});
  std::vector<int> in_a_row;
  for (const double loss : {kNan, kInfinity, 1.0, kNan, 5.0, kNan, -kInfinity, kNan}) {
    tracker.add(1, loss);
    in_a_row.push_back(tracker.state().bad_in_a_row);
  }
  EXPECT_EQ(in_a_row, (std::vector<int>{1, 2, 0, 1, 0, 1, 2, 3}));
}

// Oracle: the definition: 0 turns it off; otherwise the evaluation that fills the patience stops, a new best
// too.
TEST(BestTracker, StopsWhenPatienceRunsOut) {
  BestTracker off(0, 0, "best", {}), two(2, 0.5, "best", {});
  for (int evaluation = 0; evaluation < 50; ++evaluation) off.add(evaluation, 1);
  EXPECT_FALSE(off.stops());
  two.add(1, 1);
  two.add(2, 0.9);
  EXPECT_FALSE(two.stops());
  EXPECT_TRUE(two.add(3, 0.8));
  EXPECT_TRUE(two.stops());
}

// Oracle: equivalence: a tracker that goes on from a state decides as one that never stopped.
TEST(BestTracker, GoesOnFromItsState) {
  const std::vector<double> losses{3, 2.5, kNan, 2.4, 2.6, 2.3, 1, 1.2, kNan, 0.95, 0.5};
  for (const char* reference : {"best", "anchor"})
    for (std::size_t cut = 0; cut <= losses.size(); ++cut) {
      BestTracker whole(3, 0.2, reference, {}), first(3, 0.2, reference, {});
      for (std::size_t index = 0; index < cut; ++index)
        first.add(static_cast<std::int64_t>(index), losses[index]);
      BestTracker second(3, 0.2, reference, first.state());
      for (std::size_t index = 0; index < losses.size(); ++index) {
        const auto step = static_cast<std::int64_t>(index);
        const bool is_best = whole.add(step, losses[index]);
        if (index < cut) continue;
        EXPECT_EQ(second.add(step, losses[index]), is_best);
        EXPECT_EQ(second.stops(), whole.stops());
      }
      EXPECT_EQ(second.state().best_step, whole.state().best_step);
      EXPECT_EQ(second.state().best_loss, whole.state().best_loss);
      EXPECT_EQ(second.state().counted_loss, whole.state().counted_loss);
      EXPECT_EQ(second.state().evaluations_without_gain, whole.state().evaluations_without_gain);
      EXPECT_EQ(second.state().bad_in_a_row, whole.state().bad_in_a_row);
    }
}

}  // namespace
}  // namespace anneal
