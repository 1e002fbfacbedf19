#include "dist/heartbeat.h"

#include <fmt/format.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include "base/activity.h"
#include "base/error.h"

namespace anneal {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kInterval = std::chrono::seconds(1);
constexpr auto kTimeForOthers = std::chrono::seconds(3);  // the loop's own message says more

std::string key_of(int rank) { return "beat/" + std::to_string(rank); }

std::vector<std::uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

// The process ends here: what hangs cannot be unwound.
[[noreturn]] void end_process(const std::string& message) {
  std::fprintf(stderr, "\nanneal train: %s\n", message.c_str());
  ::_exit(static_cast<int>(ExitCode::kDistributed));
}

}  // namespace

struct Heartbeat::Shared {
  struct Sign {
    std::string text;  // changes with every sign
    std::string activity = "nothing";
    Clock::time_point seen = Clock::now();
  };

  c10::intrusive_ptr<c10d::Store> store;
  int rank = 0;
  HeartbeatLimits limits{};
  std::mutex mutex;
  std::condition_variable stopping;
  bool stops = false;
  bool store_is_gone = false;
  std::vector<Sign> signs;  // by rank; this one's is the last answer of the store
  Clock::time_point last_answer = Clock::now();

  bool wait() {  // whether it goes on
    std::unique_lock lock(mutex);
    return !stopping.wait_for(lock, kInterval, [this] { return stops; });
  }

  void exchange_signs(std::int64_t number) {
    const auto own = fmt::format("{}|{}", number, activity_text(current_activity()));
    store->set(key_of(rank), bytes_of(own));
    for (std::size_t other = 0; other < signs.size(); ++other) {
      if (!store->check({key_of(static_cast<int>(other))})) continue;
      const auto bytes = store->get(key_of(static_cast<int>(other)));
      const std::lock_guard lock(mutex);
      auto& sign = signs[other];
      const std::string text(bytes.begin(), bytes.end());
      if (text == sign.text) continue;
      sign = {text, text.substr(text.find('|') + 1), Clock::now()};
    }
    const std::lock_guard lock(mutex);
    last_answer = Clock::now();
  }

  void talk() {
    try {
      std::int64_t number = 0;
      do exchange_signs(number++);
      while (wait());
    } catch (const std::exception&) {
      const std::lock_guard lock(mutex);
      store_is_gone = true;
    }
  }

  void judge_others() {
    std::string message;
    {
      const std::lock_guard lock(mutex);
      const auto now = Clock::now();
      const auto here = fmt::format("rank {} is in: {}", rank, activity_text(current_activity()));
      const auto silent = [&](Clock::time_point since) { return now - since > limits.silence; };
      if (store_is_gone)
        message = "rank 0, or the launcher that keeps its store, is gone; " + here;
      else if (silent(last_answer))
        message = fmt::format("rank 0 has not answered for {} s; {}", limits.silence.count(), here);
      else
        for (std::size_t other = 0; other < signs.size() && message.empty(); ++other)
          if (static_cast<int>(other) != rank && silent(signs[other].seen))
            message = fmt::format("rank {} has given no sign of life for {} s, last seen: {}; {}", other,
                                  limits.silence.count(), signs[other].activity, here);
    }
    if (message.empty()) return;
    std::unique_lock lock(mutex);
    if (!stopping.wait_for(lock, kTimeForOthers, [this] { return stops; })) end_process(message);
  }

  void judge() {
    auto before = current_activity();
    auto since = Clock::now();
    while (wait()) {
      judge_others();
      const auto now = current_activity();
      if (now.changes != before.changes) since = Clock::now();
      before = now;
      const auto limit = limits.standstill * (now.step > 1 ? 1 : kStartFactor);
      if (Clock::now() - since > limit)
        end_process(fmt::format("rank {} has made no progress for {} s: it stands in {}", rank, limit.count(),
                                activity_text(now)));
    }
  }
};

Heartbeat::Heartbeat(c10::intrusive_ptr<c10d::Store> store, int rank, int size, HeartbeatLimits limits)
    : shared_(std::make_shared<Shared>()) {
  shared_->store = std::move(store);
  shared_->rank = rank;
  shared_->limits = limits;
  shared_->signs.resize(size);
  std::thread([shared = shared_] { shared->talk(); }).detach();
  judge_ = std::thread([shared = shared_] { shared->judge(); });
}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stops = true;
  }
  shared_->stopping.notify_all();
  judge_.join();
}

}  // namespace anneal
