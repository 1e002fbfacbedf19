#include "data/example_set.h"

#include <atomic>
#include <exception>
#include <thread>

#include "base/file.h"
#include "formats/jsonl.h"

namespace anneal {
namespace {

constexpr std::size_t kRowsPerChunk = 128;

const char* name_of(ExampleOutcome outcome) {
  switch (outcome) {
    case ExampleOutcome::kLongPrompt:
      return "long_prompt";
    case ExampleOutcome::kOverlong:
      return "overlong";
    default:
      return "empty";
  }
}

std::vector<Line> lines_of(std::string_view text, std::optional<std::int64_t> first_rows) {
  std::vector<Line> lines;
  LineCursor cursor(text);
  Line line;
  while ((!first_rows || static_cast<std::int64_t>(lines.size()) < *first_rows) && cursor.next(line))
    lines.push_back(line);
  return lines;
}

}  // namespace

void ExampleSet::append(const Example& example) {
  ids_.insert(ids_.end(), example.ids.begin(), example.ids.end());
  starts_.push_back(static_cast<std::int64_t>(ids_.size()));
  prompt_lengths_.push_back(example.prompt_length);
  rows_.push_back(example.row);
  counts_.trained_tokens += example.trained_tokens();
  counts_.longest = std::max(counts_.longest, static_cast<std::int64_t>(example.ids.size()));
}

void ExampleSet::append(const ExampleSet& other) {
  const auto shift = static_cast<std::int64_t>(ids_.size());
  ids_.insert(ids_.end(), other.ids_.begin(), other.ids_.end());
  for (std::size_t index = 1; index < other.starts_.size(); ++index)
    starts_.push_back(shift + other.starts_[index]);
  prompt_lengths_.insert(prompt_lengths_.end(), other.prompt_lengths_.begin(), other.prompt_lengths_.end());
  rows_.insert(rows_.end(), other.rows_.begin(), other.rows_.end());
  const auto& more = other.counts_;
  counts_.rows += more.rows;
  for (const auto& [reason, count] : more.dropped) counts_.dropped[reason] += count;
  for (const auto row : more.first_dropped)
    if (counts_.first_dropped.size() < 5) counts_.first_dropped.push_back(row);
  counts_.truncated += more.truncated;
  counts_.skipped += more.skipped;
  counts_.trained_tokens += more.trained_tokens;
  counts_.longest = std::max(counts_.longest, more.longest);
}

// Chunks of lines are tokenized in any order and joined in theirs, so neither the result nor the error that
// is reported depends on the number of threads.
class ExampleSetBuilder {
 public:
  ExampleSetBuilder(std::string file, const ExampleEncoder& encoder, const ExampleOptions& options,
                    const ExampleSetOptions& set_options, std::vector<Line> lines)
      : file_(std::move(file)),
        maker_(encoder, options),
        options_(options),
        set_options_(set_options),
        lines_(std::move(lines)),
        chunks_((lines_.size() + kRowsPerChunk - 1) / kRowsPerChunk) {}

  ExampleSet run() {
    std::vector<std::thread> threads;
    const auto extra =
        std::min<std::int64_t>(set_options_.threads, static_cast<std::int64_t>(chunks_.size())) - 1;
    for (std::int64_t index = 0; index < extra; ++index) threads.emplace_back([this] { work(); });
    work();
    for (auto& thread : threads) thread.join();
    return join();
  }

 private:
  struct Chunk {
    ExampleSet examples;
    std::vector<BadRow> bad_rows;
    std::exception_ptr failure;
  };

  void work() {
    TextPairParser parser(file_);
    for (std::size_t index; (index = next_chunk_++) < chunks_.size();) {
      auto& chunk = chunks_[index];
      try {
        const auto end = std::min((index + 1) * kRowsPerChunk, lines_.size());
        for (auto line = index * kRowsPerChunk; line < end; ++line) add_line(lines_[line], parser, chunk);
        const auto rows = static_cast<std::int64_t>(end - index * kRowsPerChunk);
        set_options_.progress(rows_done_ += rows, static_cast<std::int64_t>(lines_.size()));
      } catch (...) {
        chunk.failure = std::current_exception();
        next_chunk_ = chunks_.size();  // earlier chunks are done by others, later ones do not matter
      }
    }
  }

  void add_line(const Line& line, TextPairParser& parser, Chunk& chunk) const {
    ++chunk.examples.counts_.rows;
    TextPair pair;
    try {
      pair = parser.parse(line);
    } catch (const BadRow& row) {
      chunk.bad_rows.push_back(row);
      if (static_cast<std::int64_t>(chunk.bad_rows.size()) > set_options_.skip_bad_rows) throw;
      return;
    }
    auto made = maker_.make(pair.input, pair.output);
    made.example.row = line.number - 1;
    auto& counts = chunk.examples.counts_;
    if (made.outcome == ExampleOutcome::kLongPrompt && options_.long_prompt == "error")
      fail(ExitCode::kData,
           "the prompt has " + std::to_string(made.prompt_tokens) +
               " tokens, which leaves no room for an output in " + std::to_string(options_.max_seq_length),
           file_ + ":" + std::to_string(line.number),
           "raise --max_seq_length, or choose --long_prompt drop or left_truncate");
    if (made.outcome == ExampleOutcome::kWhole || made.outcome == ExampleOutcome::kTruncated) {
      counts.truncated += made.outcome == ExampleOutcome::kTruncated;
      chunk.examples.append(made.example);
      return;
    }
    ++counts.dropped[name_of(made.outcome)];
    if (counts.first_dropped.size() < 5) counts.first_dropped.push_back(made.example.row);
  }

  ExampleSet join() {
    ExampleSet all;
    BadRowBudget budget(set_options_.skip_bad_rows);
    for (auto& chunk : chunks_) {
      for (const auto& row : chunk.bad_rows) budget.spend(row);
      if (chunk.failure) std::rethrow_exception(chunk.failure);
      all.append(chunk.examples);
      chunk = {};
    }
    all.counts_.skipped = budget.skipped();
    if (all.size() == 0 && set_options_.required) fail_empty(all.counts_);
    return all;
  }

  [[noreturn]] void fail_empty(const ExampleCounts& counts) const {
    std::string reasons;
    for (const auto& [reason, count] : counts.dropped)
      reasons += (reasons.empty() ? " (dropped: " : ", ") + reason + " " + std::to_string(count);
    if (!reasons.empty()) reasons += ")";
    fail(ExitCode::kData,
         "none of " + std::to_string(counts.rows) + " rows gives an example to train on" + reasons, file_,
         "raise --max_seq_length, choose --long_prompt left_truncate, or check the templates");
  }

  std::string file_;
  ExampleMaker maker_;
  const ExampleOptions& options_;
  const ExampleSetOptions& set_options_;
  std::vector<Line> lines_;
  std::vector<Chunk> chunks_;
  std::atomic<std::size_t> next_chunk_ = 0;
  std::atomic<std::int64_t> rows_done_ = 0;
};

ExampleSet load_examples(const std::filesystem::path& path, const ExampleEncoder& encoder,
                         const ExampleOptions& options, const ExampleSetOptions& set_options) {
  std::error_code error;
  if (!set_options.required && !std::filesystem::exists(path, error)) return {};
  const MappedFile file(path, ExitCode::kData);
  return ExampleSetBuilder(path.string(), encoder, options, set_options,
                           lines_of(file.text(), set_options.first_rows))
      .run();
}

}  // namespace anneal
