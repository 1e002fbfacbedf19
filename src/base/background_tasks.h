// Tasks that run one after another on a thread of their own, behind the caller.
#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace anneal {

class BackgroundTasks {
 public:
  BackgroundTasks() : thread_([this] { work(); }) {}
  ~BackgroundTasks();  // drops what has not begun
  BackgroundTasks(const BackgroundTasks&) = delete;
  BackgroundTasks& operator=(const BackgroundTasks&) = delete;

  // Waits while kMaximumWaiting tasks do. Throws what a task has thrown; no task runs after that one.
  void run(std::function<void()> task);
  // Waits for all tasks. Throws as run() does.
  void finish();

 private:
  static constexpr std::size_t kMaximumWaiting = 2;

  void work();
  bool is_idle() const { return failure_ || (waiting_.empty() && !is_running_); }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool is_running_ = false;
  bool ends_ = false;
  std::exception_ptr failure_;
  std::thread thread_;  // the last member: it uses the others
};

}  // namespace anneal
