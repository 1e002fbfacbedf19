#include "dist/process_group.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <vector>

#include "base/error.h"

namespace anneal {
namespace {

// Calls work(group) on as many threads as there are ranks, each with a group of its own.
void on_ranks(int size, const std::function<void(ProcessGroup&)>& work) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::seconds(20));
      options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
      ProcessGroup group(c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options), rank, size);
      work(group);
      group.barrier();
    });
  for (auto& thread : threads) thread.join();
}

// Oracle: the parts, laid end to end by hand.
TEST(ProcessGroup, AllGather) {
  for (const int size : {1, 2, 3})
    for (const auto type : {at::kFloat, at::kBFloat16})
      on_ranks(size, [&](ProcessGroup& group) {
        auto whole = at::empty({5 * size}, type);
        group.all_gather(at::arange(5 * group.rank(), 5 * group.rank() + 5, type), whole).wait();
        EXPECT_TRUE(at::equal(whole, at::arange(5 * size, type)));
        EXPECT_EQ(group.bytes_sent(), (size - 1) * 5 * static_cast<std::int64_t>(whole.element_size()));
      });
}

// Oracle: sums by hand, 1 + 10 + 100; the order of ranks decides what float32 makes of 2^24 + 1 + 1 ... .
TEST(ProcessGroup, ReduceScatterSumsInTheOrderOfRanks) {
  on_ranks(3, [](ProcessGroup& group) {
    const float factors[] = {1, 10, 100};
    auto part = at::empty({4}, at::kFloat);
    group.reduce_scatter(at::arange(12, at::kFloat).mul(factors[group.rank()]), part).wait();
    EXPECT_TRUE(at::equal(part, at::arange(4 * group.rank(), 4 * group.rank() + 4, at::kFloat).mul(111)));
    const float large[] = {16777216, 1, 1};  // 2^24: one alone is lost, the two together would not be
    auto sum = at::empty({1}, at::kFloat);
    group.reduce_scatter(at::full({3}, large[group.rank()], at::kFloat), sum).wait();
    EXPECT_EQ(sum.item<float>(), 16777216);
  });
}

// Oracle: sums by hand.
TEST(ProcessGroup, SumsAndAnswers) {
  on_ranks(3, [](ProcessGroup& group) {
    auto values = at::full({2}, group.rank() + 1, at::kDouble);
    group.all_reduce_sum(values);
    EXPECT_TRUE(at::equal(values, at::full({2}, 6, at::kDouble)));
    EXPECT_EQ(group.sum(0.5), 1.5);
    EXPECT_TRUE(group.any(group.rank() == 2));
    EXPECT_FALSE(group.any(false));
  });
}

// Oracle: the texts themselves, an empty one and one with a zero byte among them.
TEST(ProcessGroup, Texts) {
  on_ranks(3, [](ProcessGroup& group) {
    const std::vector<std::string> texts{"", std::string("a\0b", 3), "long text"};
    EXPECT_EQ(group.all_gather_text(texts[group.rank()]), texts);
    EXPECT_EQ(group.broadcast_text(group.is_root() ? "said" : "not said"), "said");
  });
}

// Oracle: the exception thrown on one rank.
TEST(ProcessGroup, AFailureOfOneIsAFailureOfAll) {
  on_ranks(2, [](ProcessGroup& group) {
    try {
      group.on_all([&] {
        if (group.rank() == 1) fail(ExitCode::kData, "bad row", "file:3", "mend it");
      });
      ADD_FAILURE() << "rank " << group.rank() << " was not told";
    } catch (const UserError& error) {
      EXPECT_EQ(error.code(), ExitCode::kData);
      EXPECT_EQ(error.problems().front().where, "file:3");
    }
    int calls = 0;
    group.on_root([&] { ++calls; });
    EXPECT_EQ(calls, group.is_root() ? 1 : 0);
  });
}

}  // namespace
}  // namespace anneal
