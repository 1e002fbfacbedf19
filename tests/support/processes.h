// Waiting for what other processes do.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

namespace anneal {

// Whether it became so within 10 s.
inline bool wait_until(const std::function<bool()>& is_so) {
  for (int turn = 0; turn < 2000; ++turn) {
    if (is_so()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

// The letter that /proc gives it; Z where it has ended and whoever inherited it has not asked for its status.
inline std::string process_state(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string number, name, letter = "gone";
  file >> number >> name >> letter;
  return letter;
}

inline bool wait_until_gone(pid_t pid) {
  return wait_until([&] { return process_state(pid) == "gone" || process_state(pid) == "Z"; });
}

}  // namespace anneal
