// Whether what a training needs is there: an estimate warns above 90 % of the memory, and refuses above 120
// %.
#pragma once
#include <cstdint>
#include <string>

namespace anneal {

inline constexpr double kWarnAbove = 0.9, kRefuseAbove = 1.2;

enum class Fit { kFits, kTight, kMayNotFit, kDoesNotFit };  // up to 90 %, 100 %, 120 % and above

Fit fit_of(std::int64_t needed_bytes, std::int64_t available_bytes);

// "a step needs about 12 GB, 10 GB are free"
std::string need_text(const std::string& what, std::int64_t needed_bytes, std::int64_t available_bytes);

// What to change, with the flags that do it. of_states: weights, gradients and optimizer alone are too much.
std::string memory_advice(bool full_ft, bool of_states, bool is_recomputed, int ranks);

}  // namespace anneal
