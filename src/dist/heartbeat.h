// Signs of life between ranks, through the store that they met at. A rank that is stopped, or whose machine
// is gone, is noticed by the others; a rank that makes no progress notices it itself. Either ends this
// process with kDistributed, and a message that names rank, step and phase.
#pragma once
#include <chrono>
#include <memory>
#include <thread>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace anneal {

// Until the first step is done everything takes longer: how many times as long may it?
inline constexpr int kStartFactor = 4;

struct HeartbeatLimits {
  std::chrono::seconds silence;     // of another rank
  std::chrono::seconds standstill;  // of this one; kStartFactor times as long before the first step
};

class Heartbeat {
 public:
  // `store`: a connection for this alone.
  Heartbeat(c10::intrusive_ptr<c10d::Store> store, int rank, int size, HeartbeatLimits limits);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;  // with the thread that talks to the store, and may be stuck there
  std::thread judge_;
};

}  // namespace anneal
