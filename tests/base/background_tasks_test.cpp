#include "base/background_tasks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace anneal {
namespace {

// Oracle: the order in which they were given.
TEST(BackgroundTasks, RunInOrderOnAnotherThread) {
  std::vector<int> done;
  std::thread::id thread;
  BackgroundTasks tasks;
  for (int task = 0; task < 100; ++task)
    tasks.run([&, task] {
      done.push_back(task);
      thread = std::this_thread::get_id();
    });
  tasks.finish();
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(done, expected);
  EXPECT_NE(thread, std::this_thread::get_id());
}

// Oracle: the first failure, and nothing after it.
TEST(BackgroundTasks, AFailureEndsThem) {
  std::atomic<int> later = 0;
  BackgroundTasks tasks;
  EXPECT_THROW(
      {
        tasks.run([] { throw std::runtime_error("first"); });
        for (int task = 0; task < 100; ++task) tasks.run([&] { ++later; });
      },
      std::runtime_error);
  EXPECT_THROW(tasks.finish(), std::runtime_error);
  EXPECT_EQ(later, 0);
}

// Oracle: the caller waits where it is too far ahead.
TEST(BackgroundTasks, FewWait) {
  std::atomic<int> begun = 0, given = 0;
  int most_ahead = 0;
  BackgroundTasks tasks;
  for (int task = 0; task < 100; ++task) {
    tasks.run([&] { ++begun; });
    most_ahead = std::max(most_ahead, ++given - begun);
  }
  tasks.finish();
  EXPECT_EQ(begun, 100);
  EXPECT_LE(most_ahead, 3) << "one that is about to begin, and two that wait";
}

}  // namespace
}  // namespace anneal
