#include "train/lr_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <set>

#include "base/json.h"
#include "base/options.h"
#include "train/train_options.h"

namespace anneal {
namespace {

constexpr double kRounding = 1e-12;  // a few float64 operations, relative to the peak
constexpr double kPeak = 5e-5, kFloor = 1e-6;
constexpr std::int64_t kSteps = 1000, kWarmup = 30;

LrSchedule make(const std::string& type, double ratio = 0.03, double floor = kFloor) {
  return {type, kPeak, floor, ratio, kSteps};
}

double progress(std::int64_t k) { return static_cast<double>(k - kWarmup) / (kSteps - kWarmup); }

template <class Formula>
void expect_after_warmup(const std::string& type, const Formula& wanted) {
  const auto schedule = make(type);
  for (std::int64_t k = 0; k < kWarmup; ++k)
    EXPECT_NEAR(schedule.at(k), kPeak * static_cast<double>(k) / kWarmup, kPeak * kRounding)
        << type << ' ' << k;
  for (std::int64_t k = kWarmup; k <= kSteps; ++k)
    EXPECT_NEAR(schedule.at(k), wanted(k), kPeak * kRounding) << type << ' ' << k;
}

// Oracle: check values reckoned by hand from the cosine: 10000 steps, ratio 0.03, peak 5e-5, floor 1e-6.
TEST(LrSchedule, CosineCheckValues) {
  const LrSchedule schedule("cosine", 5e-5, 1e-6, 0.03, 10'000);
  EXPECT_EQ(schedule.warmup_steps(), 300);
  EXPECT_EQ(schedule.at(0), 0);
  EXPECT_NEAR(schedule.at(150), 2.5e-5, 1e-17);
  EXPECT_NEAR(schedule.at(300), 5e-5, 1e-17);
  EXPECT_NEAR(schedule.at(5150), 2.55e-5, 1e-17);
  EXPECT_NEAR(schedule.at(9999), 1.000001e-6, 1e-12);
  EXPECT_NEAR(LrSchedule("cosine", 5e-5, 0, 0.03, 10'000).at(9999), 1.3e-12, 0.05e-12);
}

// Oracle: the closed form of each type.
TEST(LrSchedule, ClosedForms) {
  for (const char* type : {"cosine", "cosine_with_min_lr"})
    expect_after_warmup(type, [](std::int64_t k) {
      return kFloor + (kPeak - kFloor) * 0.5 * (1 + std::cos(std::numbers::pi * progress(k)));
    });
  expect_after_warmup("linear", [](std::int64_t k) { return kPeak + (kFloor - kPeak) * progress(k); });
  expect_after_warmup("constant_with_warmup", [](std::int64_t) { return kPeak; });
  expect_after_warmup("polynomial", [](std::int64_t k) { return kPeak + (kFloor - kPeak) * progress(k); });
  expect_after_warmup("inverse_sqrt", [](std::int64_t k) {
    return std::max(kFloor, kPeak * std::sqrt(static_cast<double>(kWarmup) / static_cast<double>(k)));
  });
}

// Oracle: tests/golden/trainer_decisions/learning_rates.json, made with transformers' get_scheduler.
TEST(LrSchedule, EqualsTheSchedulesOfTransformers) {
  const auto cases = read_json_file(ANNEAL_SOURCE_DIR "/tests/golden/trainer_decisions/learning_rates.json",
                                    ExitCode::kInternal);
  std::set<std::string> types;
  for (const auto& golden : cases) {
    const auto type = golden.at("type").get<std::string>();
    const double peak = golden.at("peak");
    const LrSchedule schedule(type, peak, golden.at("floor"), golden.at("warmup_ratio"),
                              golden.at("total_steps"));
    EXPECT_EQ(schedule.warmup_steps(), golden.at("warmup_steps")) << golden;
    for (std::size_t index = 0; index < golden.at("updates").size(); ++index)
      EXPECT_NEAR(schedule.at(golden["updates"][index]), golden["rates"][index].get<double>(),
                  peak * kRounding)
          << golden["updates"][index] << " of " << golden;
    types.insert(type);
  }
  TrainOptions options;
  const OptionTable table(options);
  for (const auto& option : table.options()) {
    const auto& choices = option.traits.choices;
    if (option.name != "lr_scheduler_type") continue;
    EXPECT_EQ(types, std::set<std::string>(choices.begin(), choices.end()));
  }
}

// Oracle: one cycle of the cosine, and the floor at its end, where transformers stops too.
TEST(LrSchedule, CosineWithRestartsIsOneCycle) {
  const auto restarts = make("cosine_with_restarts"), cosine = make("cosine");
  for (std::int64_t k = 0; k < kSteps; ++k) EXPECT_NEAR(restarts.at(k), cosine.at(k), kPeak * kRounding);
  EXPECT_EQ(restarts.at(kSteps), kFloor);
}

// Oracle: the definition; constant has no warm-up in transformers.
TEST(LrSchedule, ConstantIsConstant) {
  const auto schedule = make("constant");
  for (const std::int64_t k : {0, 1, 29, 500, 1000}) EXPECT_EQ(schedule.at(k), kPeak);
}

// Oracle: transformers' defaults: polynomial ends at 1e-7, inverse_sqrt has a time scale of 10000 without
// warm-up.
TEST(LrSchedule, DefaultsOfTransformers) {
  const auto polynomial = make("polynomial", 0.03, 0);
  EXPECT_NEAR(polynomial.at(kSteps), 1e-7, kPeak * kRounding);
  EXPECT_NEAR(polynomial.at(kSteps + 5), 1e-7, kPeak * kRounding);
  EXPECT_NEAR(polynomial.at(515), 1e-7 + (kPeak - 1e-7) / 2, kPeak * kRounding);
  const auto inverse = make("inverse_sqrt", 0);
  EXPECT_EQ(inverse.at(0), kPeak);
  EXPECT_NEAR(inverse.at(600), kPeak / std::sqrt(1.06), kPeak * kRounding);
}

// Oracle: ceil(T * ratio), and the peak at once where there is no warm-up.
TEST(LrSchedule, WarmupStepsRoundUp) {
  EXPECT_EQ(LrSchedule("linear", 1, 0, 0.03, 10).warmup_steps(), 1);
  EXPECT_EQ(LrSchedule("linear", 1, 0, 0.25, 10).warmup_steps(), 3);
  EXPECT_EQ(LrSchedule("linear", 1, 0, 0, 10).warmup_steps(), 0);
  EXPECT_EQ(LrSchedule("linear", 1, 0, 0, 10).at(0), 1);
  EXPECT_EQ(LrSchedule("linear", 1, 0, 1, 10).at(9), 0.9);
  EXPECT_EQ(LrSchedule("cosine", 1, 0, 1, 1).at(0), 0);
}

// Oracle: a learning rate never falls below the floor after the warm-up, nor above the peak.
TEST(LrSchedule, StaysBetweenFloorAndPeak) {
  for (const char* type : {"cosine", "linear", "constant", "constant_with_warmup", "cosine_with_min_lr",
                           "cosine_with_restarts", "polynomial", "inverse_sqrt"})
    for (std::int64_t k = kWarmup; k <= kSteps + 10; ++k) {
      EXPECT_GE(make(type).at(k), kFloor * (1 - 1e-9)) << type << ' ' << k;
      EXPECT_LE(make(type).at(k), kPeak * (1 + 1e-9)) << type << ' ' << k;
    }
}

}  // namespace
}  // namespace anneal
