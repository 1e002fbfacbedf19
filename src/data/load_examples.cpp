#include "data/load_examples.h"

#include <atomic>
#include <exception>
#include <thread>
#include <variant>

#include "base/activity.h"
#include "base/file.h"
#include "formats/jsonl.h"

namespace anneal {
namespace {

constexpr std::size_t kRowsPerChunk = 128;
constexpr const char* kRowRemedy = "correct the row, or allow some bad ones with --skip_bad_rows N";

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
  using MadeRow = std::variant<MadeExample, BadRow>;

  struct Chunk {
    ExampleBuffer examples;
    std::vector<BadRow> bad_rows;
    std::exception_ptr failure;
  };

  void work() {
    DataRowParser parser(file_);
    for (std::size_t index; (index = next_chunk_++) < chunks_.size();) {
      auto& chunk = chunks_[index];
      enter_phase("tokenizing");  // each chunk is progress
      try {
        const auto begin = index * kRowsPerChunk, end = std::min(begin + kRowsPerChunk, lines_.size());
        const std::span lines = std::span(lines_).subspan(begin, end - begin);
        auto rows = make_rows(lines, parser);
        for (std::size_t at = 0; at < rows.size(); ++at) add_row(rows[at], lines[at], chunk);
        set_options_.progress(rows_done_ += static_cast<std::int64_t>(rows.size()),
                              static_cast<std::int64_t>(lines_.size()));
      } catch (...) {
        chunk.failure = std::current_exception();
        next_chunk_ = chunks_.size();  // earlier chunks are done by others, later ones do not matter
      }
    }
  }

  std::vector<MadeRow> make_rows(std::span<const Line> lines, DataRowParser& parser) const {
    std::vector<MadeRow> rows(lines.size());
    std::vector<std::size_t> places;
    std::vector<std::string_view> chats;
    for (std::size_t at = 0; at < lines.size(); ++at) {
      try {
        const auto row = parser.parse(lines[at]);
        if (row.chat.empty()) {
          rows[at] = maker_.make(row.input, row.output);
        } else {
          places.push_back(at);
          chats.push_back(row.chat);
        }
      } catch (const BadRow& row) {
        rows[at] = row;
      }
    }
    if (chats.empty()) return rows;
    if (set_options_.chats == nullptr)
      fail(ExitCode::kData, "the row is a chat, which only a model's template can make a text of",
           place(lines[places.front()]), "name the model with --hf_model_id");
    const auto rendered = set_options_.chats->render(chats);
    for (std::size_t index = 0; index < rendered.size(); ++index) {
      const auto& chat = rendered[index];
      auto& row = rows[places[index]];
      if (chat.refusal.empty())
        row = maker_.make(chat);
      else
        row = BadRow("the chat cannot be rendered: " + chat.refusal, place(lines[places[index]]), kRowRemedy);
    }
    return rows;
  }

  void add_row(MadeRow& row, const Line& line, Chunk& chunk) const {
    auto& counts = chunk.examples.counts;
    ++counts.rows;
    if (const auto* bad = std::get_if<BadRow>(&row)) {
      chunk.bad_rows.push_back(*bad);
      if (static_cast<std::int64_t>(chunk.bad_rows.size()) > set_options_.skip_bad_rows) throw *bad;
      return;
    }
    auto& made = std::get<MadeExample>(row);
    made.example.row = line.number - 1;
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

  std::string place(const Line& line) const { return place_of(file_, line.number, line.offset); }

  ExampleSet join() {
    ExampleBuffer all;
    BadRowBudget budget(set_options_.skip_bad_rows);
    for (auto& chunk : chunks_) {
      for (const auto& row : chunk.bad_rows) budget.spend(row);
      if (chunk.failure) std::rethrow_exception(chunk.failure);
      all.append(chunk.examples);
      chunk = {};
    }
    all.counts.skipped = budget.skipped();
    if (all.size() == 0 && set_options_.required) fail_empty(all.counts);
    return ExampleSet(std::move(all));
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

}  // namespace

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
