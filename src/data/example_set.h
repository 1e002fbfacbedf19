// All examples of one file, tokenized once, in a few large arrays.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/example.h"

namespace anneal {

struct ExampleView {
  std::span<const std::int32_t> ids;
  std::int32_t prompt_length = 0;  // trained are ids[prompt_length..]
  std::int64_t row = 0;

  // Positions t in [first_loss_position(), ids.size() - 2] predict ids[t + 1].
  std::int64_t first_loss_position() const { return std::max<std::int64_t>(prompt_length, 1) - 1; }
  std::int64_t trained_tokens() const {
    return static_cast<std::int64_t>(ids.size()) - 1 - first_loss_position();
  }
};

struct ExampleCounts {
  std::int64_t rows = 0;                        // read
  std::map<std::string, std::int64_t> dropped;  // reason ("long_prompt", "overlong", "empty") -> rows
  std::vector<std::int64_t> first_dropped;      // rows, at most five
  std::int64_t truncated = 0;
  std::int64_t skipped = 0;  // lines that could not be read
  std::int64_t trained_tokens = 0;
  std::int64_t longest = 0;  // tokens of the longest example
};

class ExampleSet {
 public:
  std::int64_t size() const { return static_cast<std::int64_t>(rows_.size()); }
  std::int64_t tokens() const { return static_cast<std::int64_t>(ids_.size()); }
  const ExampleCounts& counts() const { return counts_; }

  ExampleView operator[](std::int64_t index) const {
    const auto start = starts_[index];
    return {{ids_.data() + start, static_cast<std::size_t>(starts_[index + 1] - start)},
            prompt_lengths_[index],
            rows_[index]};
  }

  void append(const Example& example);
  void append(const ExampleSet& other);  // examples and counts

 private:
  friend class ExampleSetBuilder;
  std::vector<std::int32_t> ids_;
  std::vector<std::int64_t> starts_ = {0};
  std::vector<std::int32_t> prompt_lengths_;
  std::vector<std::int64_t> rows_;
  ExampleCounts counts_;
};

struct ExampleSetOptions {
  std::int64_t threads = 0;                // 0: none but the caller's; the result does not depend on it
  std::optional<std::int64_t> first_rows;  // read no more rows than this
  std::int64_t skip_bad_rows = 0;
  bool required = true;  // no example at all is an error
  // Gets rows done and rows in all; called by any of the threads.
  std::function<void(std::int64_t, std::int64_t)> progress = [](std::int64_t, std::int64_t) {};
};

// Reads a prompt/completion JSONL file. A missing file that is not required gives an empty set.
ExampleSet load_examples(const std::filesystem::path& path, const ExampleEncoder& encoder,
                         const ExampleOptions& options, const ExampleSetOptions& set_options);

}  // namespace anneal
