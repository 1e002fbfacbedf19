// All examples of one file, in a few large arrays: in memory, or in a file that is mapped.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/example.h"

namespace anneal {

struct ExampleView {
  std::span<const std::int32_t> ids;
  std::int32_t prompt_length = 0;
  std::int64_t row = 0;
  std::span<const std::int32_t> untrained = {};

  std::int64_t trained_tokens() const { return count_trained(ids.size(), prompt_length, untrained); }
};

struct ExampleCounts {
  std::int64_t rows = 0;                        // read
  std::map<std::string, std::int64_t> dropped;  // reason ("long_prompt", "overlong", "empty") -> rows
  std::vector<std::int64_t> first_dropped;      // rows, at most five
  std::int64_t truncated = 0;
  std::int64_t skipped = 0;  // lines that could not be read
  std::int64_t trained_tokens = 0;
  std::int64_t ended = 0;             // examples whose last token is the end of what the model is to write
  std::int64_t longest = 0;           // tokens of the longest example
  std::int64_t specials_in_text = 0;  // special tokens that the texts of rows hold

  void add(const ExampleCounts& more);
};

struct ExampleArrays {
  std::span<const std::int32_t> ids;
  std::span<const std::int64_t> starts;  // of each example in ids, and the end
  std::span<const std::int32_t> prompt_lengths;
  std::span<const std::int64_t> rows;
  std::span<const std::int32_t> untrained;
  std::span<const std::int64_t> untrained_starts;  // of each example in untrained, and the end
};

// Examples that are being gathered.
class ExampleBuffer {
 public:
  void append(const Example& example);
  void append(const ExampleBuffer& other);  // examples and counts
  ExampleArrays arrays() const;             // as long as nothing is appended
  std::int64_t size() const { return static_cast<std::int64_t>(rows_.size()); }

  ExampleCounts counts;

 private:
  std::vector<std::int32_t> ids_;
  std::vector<std::int64_t> starts_ = {0};
  std::vector<std::int32_t> prompt_lengths_;
  std::vector<std::int64_t> rows_;
  std::vector<std::int32_t> untrained_;
  std::vector<std::int64_t> untrained_starts_ = {0};
};

class ExampleSet {
 public:
  ExampleSet() : ExampleSet(ExampleBuffer()) {}
  explicit ExampleSet(ExampleBuffer buffer);
  // `owner` keeps the arrays.
  ExampleSet(const ExampleArrays& arrays, ExampleCounts counts, std::shared_ptr<const void> owner)
      : arrays_(arrays), counts_(std::move(counts)), owner_(std::move(owner)) {}

  std::int64_t size() const { return static_cast<std::int64_t>(arrays_.rows.size()); }
  std::int64_t tokens() const { return static_cast<std::int64_t>(arrays_.ids.size()); }
  const ExampleCounts& counts() const { return counts_; }
  const ExampleArrays& arrays() const { return arrays_; }

  ExampleView operator[](std::int64_t index) const {
    const auto part = [index](auto values, auto starts) {
      return values.subspan(starts[index], starts[index + 1] - starts[index]);
    };
    return {part(arrays_.ids, arrays_.starts), arrays_.prompt_lengths[index], arrays_.rows[index],
            part(arrays_.untrained, arrays_.untrained_starts)};
  }

 private:
  ExampleArrays arrays_;
  ExampleCounts counts_;
  std::shared_ptr<const void> owner_;
};

}  // namespace anneal
