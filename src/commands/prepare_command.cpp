#include "commands/prepare_command.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstdio>
#include <sstream>

#include "base/console.h"
#include "data/load_examples.h"
#include "data/preflight.h"
#include "data/prepare.h"
#include "data/tokenizer_encoder.h"
#include "data/tokenizing_progress.h"
#include "formats/jsonl.h"
#include "tokenizer/decode_stream.h"

namespace anneal {
namespace {

constexpr std::int64_t kCheckedRows = 2000;  // the files are shuffled, so the first rows stand for all

void say_summary(const PreparedData& data, Console& console) {
  const char* state = data.foreign ? "found" : data.reused ? "ready" : "built";
  console.say(fmt::format("{}: {}", state, data.folder.string()));
  console.say(fmt::format("source: {}", data.source));
  console.say(fmt::format("rows: {} training, {} validation, {} test", data.training_rows,
                          data.validation_rows, data.test_rows));
  for (const auto& dataset : data.datasets)
    console.say(fmt::format("rows of {}: {} read, {} training, {} validation, {} test", dataset.name,
                            dataset.rows, dataset.training, dataset.validation, dataset.test));
  for (const auto& [reason, count] : data.dropped)
    console.say(fmt::format("dropped: {} ({})", count, reason));
  if (data.skipped_rows > 0)
    console.say(fmt::format("skipped: {} rows that cannot be read", data.skipped_rows));
  if (data.null_fields > 0)
    console.say(fmt::format("empty: {} values that are null or missing", data.null_fields));
  if (data.validation_rows == 0)
    console.say("warning: no validation rows, so nothing chooses the best checkpoint");
}

struct Marks {
  std::string begin, end;
};

Marks marks_of_trained_text() {
  if (Console().has_color()) return {"\033[32m", "\033[0m"};
  return {"[[", "]]"};
}

void show_texts(const std::filesystem::path& path, const PrepareOptions& options) {
  const auto marks = marks_of_trained_text();
  DataRowReader reader(path, options.dataset.skip_bad_rows);
  DataRow row;
  for (std::int64_t shown = 0; shown < options.show && reader.next(row); ++shown)
    if (!row.chat.empty())
      fmt::print("\n--- row {}\n{}\n", reader.line_number() - 1, row.chat);
    else
      fmt::print("\n--- row {}\n{}{}{}{}\n", reader.line_number() - 1, row.input, marks.begin, row.output,
                 marks.end);
}

// Text and tokens, each with its trained stretches in marks.
void show_tokens(const ExampleView& example, const Tokenizer& tokenizer) {
  const auto marks = marks_of_trained_text();
  std::string text, pieces;
  DecodeStream stream(tokenizer, /*skip_special_tokens=*/false);
  std::size_t at = 0;
  const auto show = [&](std::size_t end, bool is_trained) {
    if (at == end) return;
    const auto ids = example.ids.subspan(at, end - at);
    at = end;
    pieces += is_trained ? " " + marks.begin : "";
    text += is_trained ? marks.begin : "";
    for (const auto id : ids) {
      text += stream.add(id);
      pieces += (pieces.ends_with(marks.begin) ? "" : " ") + tokenizer.piece(id);
    }
    if (at == example.ids.size()) text += stream.finish();
    text += is_trained ? marks.end : "";
    pieces += is_trained ? marks.end : "";
  };
  show(example.prompt_length, false);
  for (std::size_t bound = 0; bound < example.untrained.size(); ++bound)
    show(example.untrained[bound], bound % 2 == 0);
  show(example.ids.size(), true);
  fmt::print("\n--- row {}: {} tokens, {} trained\n{}\ntokens:{}\n", example.row, example.ids.size(),
             example.trained_tokens(), text, pieces);
}

void check_and_show(const std::filesystem::path& path, const PrepareOptions& options, Console& console,
                    const std::function<void(const std::string&)>& notice) {
  const auto say = [&](const std::string& line) { console.say(line); };
  const auto model = fetch_model({options.hf_model_id, options.hf_model_revision}, ModelPart::kTokenizer,
                                 options.dataset.offline, notice);
  const auto tokenizer = Tokenizer::load(model);
  const TokenizerEncoder encoder(tokenizer, options.example);
  ChatRenderer chats(model, tokenizer.added_tokens());
  const auto examples = load_examples(path, encoder, options.example,
                                      {.threads = options.dataloader_num_workers,
                                       .first_rows = std::max(options.show, kCheckedRows),
                                       .skip_bad_rows = options.dataset.skip_bad_rows,
                                       .chats = &chats,
                                       .progress = tokenizing_progress(console, path)});
  if (options.example.add_eos)
    say(fmt::format("end of sequence: {} ({})", *encoder.eos_id(), tokenizer.piece(*encoder.eos_id())));
  say(fmt::format("samples of the first {} rows: {}", examples.counts().rows, examples.size()));
  for (const auto& line : preflight_report(examples, options.example)) say(line);
  for (std::int64_t index = 0; index < std::min(options.show, examples.size()); ++index)
    show_tokens(examples[index], tokenizer);
  require_sound_samples(examples, options.example, tokenizer.bos_id(), options.force, notice);
}

void say_lines(const std::string& text, Console& console) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) console.say(line);
}

}  // namespace

int run_prepare(PrepareOptions& options, const std::set<std::string>&) {
  Console console, aside(stderr);
  const auto notice = [&](const std::string& line) { aside.say(line); };
  const auto data = prepare_data(options.dataset, static_cast<std::uint64_t>(options.seed), notice);
  if (!data.foreign && options.dataset.describes_dataset) say_lines(describe(options.dataset), console);
  say_summary(data, console);
  if (!options.hf_model_id.empty())
    check_and_show(data.training, options, console, notice);
  else if (options.show > 0)
    show_texts(data.training, options);
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace anneal
