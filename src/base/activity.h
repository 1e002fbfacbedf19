// What this process is doing, for the messages of whoever waits for it in vain. Any thread may ask.
#pragma once
#include <cstdint>
#include <string>

namespace anneal {

struct Activity {
  std::int64_t step = 0;      // being done; 0 before the first
  const char* phase = "";     // "forward", "saving", ...
  std::uint64_t changes = 0;  // grows with every call below
};

void enter_step(std::int64_t step);
void enter_phase(const char* phase);  // a text that lives as long as the program
Activity current_activity();
std::string activity_text(const Activity& activity);  // "step 12, forward"

}  // namespace anneal
