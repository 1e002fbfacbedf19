#include "data/sample_order.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace anneal {
namespace {

using Indices = std::vector<std::int64_t>;

// Oracle: the formula of spec section 5.3 in a separate Python script, with unbounded integers reduced mod
// 2^64.
TEST(SampleOrder, EpochsAreTheSameOnEveryMachine) {
  const SampleOrder order(16257, 10);
  EXPECT_EQ(order.order_of_epoch(0), (Indices{8, 4, 0, 6, 5, 1, 7, 3, 9, 2}));
  EXPECT_EQ(order.order_of_epoch(1), (Indices{5, 1, 3, 8, 4, 7, 0, 6, 9, 2}));
}

// Oracle: the epochs above, cut by hand.
TEST(SampleOrder, StepsCutEpochsWithoutMixingThem) {
  SampleOrder order(16257, 10);
  const auto first = order.order_of_epoch(0);
  const auto second = order.order_of_epoch(1);
  EXPECT_EQ(order.steps_per_epoch(4), 3);
  SamplePosition position;
  EXPECT_EQ(order.take(position, 4), (Indices{first.begin(), first.begin() + 4}));
  EXPECT_EQ(position, (SamplePosition{0, 4}));
  EXPECT_EQ(order.take(position, 4), (Indices{first.begin() + 4, first.begin() + 8}));
  EXPECT_EQ(order.take(position, 4), (Indices{first.begin() + 8, first.end()}));
  EXPECT_EQ(position, (SamplePosition{1, 0}));
  EXPECT_EQ(order.take(position, 4), (Indices{second.begin(), second.begin() + 4}));
  position = {1, 0};
  EXPECT_EQ(order.take(position, 100), second);
  EXPECT_EQ(position, (SamplePosition{2, 0}));
}

// Oracle: the epochs above. A position says all there is to say: another order object goes on from it, with
// steps of another size too.
TEST(SampleOrder, APositionIsAllThatIsNeededToGoOn) {
  SampleOrder before(16257, 10), after(16257, 10);
  SamplePosition position;
  before.take(position, 4);
  const auto first = before.order_of_epoch(0);
  EXPECT_EQ(after.take(position, 5), (Indices{first.begin() + 4, first.begin() + 9}));
}

// Oracle: an epoch takes every sample once.
TEST(SampleOrder, AnEpochTakesEverySampleOnce) {
  SampleOrder order(3, 97);
  SamplePosition position;
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    Indices all;
    while (position.epoch == epoch) {
      const auto part = order.take(position, 8);
      all.insert(all.end(), part.begin(), part.end());
    }
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all.size(), 97u);
    for (std::int64_t index = 0; index < 97; ++index) EXPECT_EQ(all[index], index);
  }
}

// Oracle: HF's rule epoch + micro-batches done / micro-batches of an epoch, by hand: 10 samples in batches of
// 2, four of them a step, are 5 micro-batches and 2 steps.
TEST(SampleOrder, EpochFractionCountsMicroBatches) {
  SampleOrder order(1, 10);
  SamplePosition position;
  for (const double epochs : {0.0, 0.8, 1.0, 1.8}) {
    EXPECT_DOUBLE_EQ(order.epochs_done(position, 2), epochs);
    order.take(position, 8);
  }
}

}  // namespace
}  // namespace anneal
