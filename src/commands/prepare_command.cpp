#include "commands/prepare_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "data/preflight.h"
#include "data/prepare.h"
#include "data/tokenizer_encoder.h"
#include "formats/jsonl.h"

namespace anneal {
namespace {

constexpr std::int64_t kCheckedRows = 2000;  // the files are shuffled, so the first rows stand for all

void print_summary(const PreparedData& data) {
  const char* state = data.foreign ? "found" : data.reused ? "ready" : "built";
  fmt::print("{}: {}\n", state, data.folder.string());
  fmt::print("source: {}\n", data.source);
  fmt::print("rows: {} training, {} validation, {} test\n", data.training_rows, data.validation_rows,
             data.test_rows);
  for (const auto& [reason, count] : data.dropped) fmt::print("dropped: {} ({})\n", count, reason);
  if (data.skipped_rows > 0) fmt::print("skipped: {} rows that cannot be read\n", data.skipped_rows);
  if (data.null_fields > 0) fmt::print("empty: {} values that are null or missing\n", data.null_fields);
  if (data.validation_rows == 0)
    fmt::print("warning: no validation rows, so nothing chooses the best checkpoint\n");
}

void print_notice(const std::string& line) { fmt::print(stderr, "{}\n", line); }

struct Marks {
  std::string begin, end;
};

Marks marks_of_trained_text() {
  if (::isatty(STDOUT_FILENO) == 1) return {"\033[32m", "\033[0m"};
  return {"[[", "]]"};
}

void show_texts(const std::filesystem::path& path, const PrepareOptions& options) {
  const auto marks = marks_of_trained_text();
  TextPairReader reader(path, options.dataset.skip_bad_rows);
  TextPair pair;
  for (std::int64_t shown = 0; shown < options.show && reader.next(pair); ++shown)
    fmt::print("\n--- row {}\n{}{}{}{}\n", reader.line_number() - 1, pair.input, marks.begin, pair.output,
               marks.end);
}

void show_tokens(const ExampleView& example, const Tokenizer& tokenizer) {
  const auto marks = marks_of_trained_text();
  const auto prompt = example.ids.first(example.prompt_length);
  const auto trained = example.ids.subspan(example.prompt_length);
  fmt::print("\n--- row {}: {} tokens, {} trained\n{}{}{}{}\n", example.row, example.ids.size(),
             example.trained_tokens(), tokenizer.decode(prompt, false), marks.begin,
             tokenizer.decode(trained, false), marks.end);
  const auto pieces = [&](std::span<const std::int32_t> ids) {
    std::string text;
    for (const auto id : ids) text += (text.empty() ? "" : " ") + tokenizer.piece(id);
    return text;
  };
  fmt::print("tokens: {} {}{}{}\n", pieces(prompt), marks.begin, pieces(trained), marks.end);
}

void check_and_show(const std::filesystem::path& path, const PrepareOptions& options) {
  const auto tokenizer =
      Tokenizer::load(fetch_model({options.hf_model_id, options.hf_model_revision}, ModelPart::kTokenizer,
                                  options.dataset.offline, print_notice));
  const TokenizerEncoder encoder(tokenizer, options.example);
  const auto examples = load_examples(path, encoder, options.example,
                                      {.threads = options.dataloader_num_workers,
                                       .first_rows = std::max(options.show, kCheckedRows),
                                       .skip_bad_rows = options.dataset.skip_bad_rows});
  const auto& counts = examples.counts();
  if (options.example.add_eos)
    fmt::print("end of sequence: {} ({})\n", *encoder.eos_id(), tokenizer.piece(*encoder.eos_id()));
  fmt::print("examples of the first {} rows: {}, {} tokens, {} trained, {} cut, longest {}\n", counts.rows,
             examples.size(), examples.tokens(), counts.trained_tokens, counts.truncated, counts.longest);
  for (const auto& [reason, count] : counts.dropped) fmt::print("dropped: {} ({})\n", count, reason);
  for (std::int64_t index = 0; index < std::min(options.show, examples.size()); ++index)
    show_tokens(examples[index], tokenizer);
  require_sound_samples(examples, options.example, tokenizer.bos_id(), encoder.eos_id(), options.force,
                        print_notice);
}

}  // namespace

int run_prepare(PrepareOptions& options, const std::set<std::string>&) {
  const auto data = prepare_data(options.dataset, static_cast<std::uint64_t>(options.seed), print_notice);
  if (!data.foreign && options.dataset.describes_dataset) fmt::print("{}", describe(options.dataset));
  print_summary(data);
  if (!options.hf_model_id.empty())
    check_and_show(data.training, options);
  else if (options.show > 0)
    show_texts(data.training, options);
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace anneal
