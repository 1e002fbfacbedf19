// Rows that cannot be read: where they are, and how many of them a run tolerates (--skip_bad_rows).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace anneal {

// A row that can be left out: the reader that threw it goes on with the row after it.
class BadRow : public UserError {
 public:
  BadRow(std::string problem, std::string where, std::string remedy)
      : UserError(ExitCode::kData, Problem{std::move(problem), std::move(where), std::move(remedy)}) {}
};

// "<file>:<line> (byte <offset>)"
inline std::string place_of(std::string_view file, std::int64_t line, std::size_t offset) {
  return std::string(file) + ":" + std::to_string(line) + " (byte " + std::to_string(offset) + ")";
}

class BadRowBudget {
 public:
  explicit BadRowBudget(std::int64_t allowed) : allowed_(allowed) {}

  // Counts the row, or throws it where the budget is used up.
  void spend(const BadRow& row) {
    if (skipped_ >= allowed_) throw row;
    ++skipped_;
    if (first_skipped_.size() < kShown) first_skipped_.push_back(row.what());
  }

  std::int64_t skipped() const { return skipped_; }
  const std::vector<std::string>& first_skipped() const { return first_skipped_; }

 private:
  static constexpr std::size_t kShown = 5;
  std::int64_t allowed_;
  std::int64_t skipped_ = 0;
  std::vector<std::string> first_skipped_;
};

}  // namespace anneal
