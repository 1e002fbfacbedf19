#include "data/example_set.h"

#include <algorithm>

namespace anneal {
namespace {

template <class Value>
void append_all(std::vector<Value>& values, const std::vector<Value>& more) {
  values.insert(values.end(), more.begin(), more.end());
}

void append_starts(std::vector<std::int64_t>& starts, const std::vector<std::int64_t>& more) {
  const auto shift = starts.back();
  for (std::size_t index = 1; index < more.size(); ++index) starts.push_back(shift + more[index]);
}

}  // namespace

void ExampleCounts::add(const ExampleCounts& more) {
  rows += more.rows;
  for (const auto& [reason, count] : more.dropped) dropped[reason] += count;
  for (const auto row : more.first_dropped)
    if (first_dropped.size() < 5) first_dropped.push_back(row);
  truncated += more.truncated;
  skipped += more.skipped;
  trained_tokens += more.trained_tokens;
  ended += more.ended;
  longest = std::max(longest, more.longest);
  specials_in_text += more.specials_in_text;
}

void ExampleBuffer::append(const Example& example) {
  append_all(ids_, example.ids);
  starts_.push_back(static_cast<std::int64_t>(ids_.size()));
  prompt_lengths_.push_back(example.prompt_length);
  rows_.push_back(example.row);
  append_all(untrained_, example.untrained);
  untrained_starts_.push_back(static_cast<std::int64_t>(untrained_.size()));
  counts.trained_tokens += example.trained_tokens();
  counts.ended += example.has_end;
  counts.specials_in_text += example.specials_in_text;
  counts.longest = std::max(counts.longest, static_cast<std::int64_t>(example.ids.size()));
}

void ExampleBuffer::append(const ExampleBuffer& other) {
  append_all(ids_, other.ids_);
  append_starts(starts_, other.starts_);
  append_all(prompt_lengths_, other.prompt_lengths_);
  append_all(rows_, other.rows_);
  append_all(untrained_, other.untrained_);
  append_starts(untrained_starts_, other.untrained_starts_);
  counts.add(other.counts);
}

ExampleArrays ExampleBuffer::arrays() const {
  return {ids_, starts_, prompt_lengths_, rows_, untrained_, untrained_starts_};
}

ExampleSet::ExampleSet(ExampleBuffer buffer) {
  const auto owner = std::make_shared<const ExampleBuffer>(std::move(buffer));
  arrays_ = owner->arrays();
  counts_ = owner->counts;
  owner_ = owner;
}

}  // namespace anneal
