#include "base/activity.h"

#include <atomic>

namespace anneal {
namespace {

std::atomic<std::int64_t> step_now = 0;
std::atomic<const char*> phase_now = "start";
std::atomic<std::uint64_t> changes_so_far = 0;

}  // namespace

void enter_step(std::int64_t step) {
  step_now = step;
  ++changes_so_far;
}

void enter_phase(const char* phase) {
  phase_now = phase;
  ++changes_so_far;
}

Activity current_activity() { return {step_now, phase_now, changes_so_far}; }

std::string activity_text(const Activity& activity) {
  return (activity.step > 0 ? "step " + std::to_string(activity.step)
                            : std::string("before the first step")) +
         ", " + activity.phase;
}

}  // namespace anneal
