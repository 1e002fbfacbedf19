#include "data/preflight.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>

namespace anneal {
namespace {

constexpr double kWastedShare = 0.5;    // of the rows dropped, or of the samples cut: more stops a run
constexpr std::int64_t kBarWidth = 40;  // characters of the longest bar

double share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

std::string percent(std::int64_t part, std::int64_t whole) {
  return fmt::format("{:.1f} %", 100 * share(part, whole));
}

std::int64_t dropped_for_length(const ExampleCounts& counts) {
  std::int64_t rows = 0;
  for (const char* reason : {"long_prompt", "overlong"})
    if (const auto found = counts.dropped.find(reason); found != counts.dropped.end()) rows += found->second;
  return rows;
}

std::vector<std::int64_t> sorted_lengths(const ExampleSet& examples) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t index = 0; index < examples.size(); ++index)
    lengths.push_back(static_cast<std::int64_t>(examples[index].ids.size()));
  std::sort(lengths.begin(), lengths.end());
  return lengths;
}

// By the powers of two that the lengths reach.
void append_histogram(std::vector<std::string>& lines, const std::vector<std::int64_t>& lengths) {
  std::map<std::int64_t, std::int64_t> counts;
  for (const auto length : lengths)
    ++counts[static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(length)))];
  std::int64_t most = 0;
  for (const auto& [limit, count] : counts) most = std::max(most, count);
  for (const auto& [limit, count] : counts)
    lines.push_back(fmt::format("  up to {:>6} tokens: {:>8} {}", limit, count,
                                std::string((count * kBarWidth + most - 1) / most, '#')));
}

}  // namespace

std::vector<Problem> preflight(const ExampleSet& examples, const ExampleOptions& options,
                               std::optional<std::int32_t> bos_id) {
  std::int64_t doubled = 0, first_doubled = -1;
  for (std::int64_t index = 0; index < examples.size(); ++index) {
    const auto example = examples[index];
    if (bos_id && example.ids.size() > 1 && example.ids[0] == *bos_id && example.ids[1] == *bos_id &&
        doubled++ == 0)
      first_doubled = example.row;
  }
  const auto& counts = examples.counts();
  std::vector<Problem> problems;
  if (counts.trained_tokens == 0)
    problems.push_back({"no token is trained", "training data", "check the templates and --max_seq_length"});
  if (doubled > 0)
    problems.push_back({std::to_string(doubled) + " examples begin with two beginning-of-sequence tokens",
                        "row " + std::to_string(first_doubled),
                        "take the token out of --hfdc_input_template: the tokenizer adds it"});
  if (options.add_eos && examples.size() > 0 && counts.ended == 0)
    problems.push_back(
        {"the end of sequence is never trained, because every example is cut off", "--max_seq_length",
         "raise it: the longest example has " + std::to_string(counts.longest) + " tokens after the cut"});
  else if (share(counts.truncated, examples.size()) > kWastedShare)
    problems.push_back({percent(counts.truncated, examples.size()) +
                            " of the samples are cut off, and lose the end of what is to be learned",
                        "--max_seq_length",
                        "raise it, or leave such samples out with --on_overlong_output drop"});
  if (const auto dropped = dropped_for_length(counts); share(dropped, counts.rows) > kWastedShare)
    problems.push_back({percent(dropped, counts.rows) + " of the rows are too long, and dropped",
                        "--max_seq_length", "raise it, or choose --long_prompt left_truncate"});
  return problems;
}

std::vector<std::string> preflight_report(const ExampleSet& examples, const ExampleOptions& options) {
  const auto& counts = examples.counts();
  std::vector<std::string> lines;
  for (const auto& [reason, rows] : counts.dropped)
    lines.push_back(fmt::format("dropped: {} ({})", rows, reason));
  if (counts.skipped > 0)
    lines.push_back(fmt::format("skipped: {} lines that cannot be read", counts.skipped));
  lines.push_back(fmt::format("cut at max_seq_length {}: {} ({})", options.max_seq_length, counts.truncated,
                              percent(counts.truncated, examples.size())));
  lines.push_back(fmt::format(
      "trained: {} of {} tokens ({}); the end in {} of the samples", counts.trained_tokens, examples.tokens(),
      percent(counts.trained_tokens, examples.tokens()), percent(counts.ended, examples.size())));
  if (counts.specials_in_text > 0)
    lines.push_back(
        fmt::format("special tokens in the texts of rows: {} (--no_special_in_text makes text of them)",
                    counts.specials_in_text));
  const auto lengths = sorted_lengths(examples);
  if (lengths.empty()) return lines;
  const auto at = [&](double quantile) {
    return lengths[static_cast<std::size_t>(quantile * static_cast<double>(lengths.size() - 1))];
  };
  lines.push_back(
      fmt::format("lengths: median {}, 95 % up to {}, longest {} tokens", at(0.5), at(0.95), lengths.back()));
  append_histogram(lines, lengths);
  return lines;
}

std::optional<std::int32_t> unknown_end(const ExampleSet& examples, std::span<const std::int32_t> stop_ids) {
  std::map<std::int32_t, std::int64_t> ends;
  for (std::int64_t index = 0; index < examples.size(); ++index) ++ends[examples[index].ids.back()];
  for (const auto& [id, count] : ends)
    if (2 * count > examples.size() && std::find(stop_ids.begin(), stop_ids.end(), id) == stop_ids.end())
      return id;
  return std::nullopt;
}

void require_sound_samples(const ExampleSet& examples, const ExampleOptions& options,
                           std::optional<std::int32_t> bos_id, bool force,
                           const std::function<void(const std::string&)>& warn) {
  const auto problems = preflight(examples, options, bos_id);
  if (problems.empty()) return;
  const UserError refusal(ExitCode::kData, problems);
  if (!force) throw refusal;
  warn(std::string("warning: ") + refusal.what());
}

}  // namespace anneal
