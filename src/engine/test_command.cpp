#include "engine/test_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/activity.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/folder_entries.h"
#include "base/options.h"
#include "base/progress.h"
#include "checkpoint/trained_base.h"
#include "engine/meet_ranks.h"
#include "engine/model_samples.h"
#include "engine/test_data.h"
#include "engine/test_engines.h"
#include "eval/bert_score.h"
#include "eval/predictions.h"
#include "eval/test_metrics.h"
#include "formats/utf8.h"
#include "launch/environment.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShownRows = 3, kShownCharacters = 200;

// Everything that the test is about, found and read before a model is loaded.
struct Subject {
  TestModel model;
  TrainedRun run;
  fs::path test_file, folder;  // folder: of what the test writes
  std::vector<TestRow> rows;
  std::string header;
};

// How far the generation of this rank is, and the figures of all.
class Meter {
 public:
  Meter(Console& console, std::size_t total, int ranks) : console_(console), total_(total), ranks_(ranks) {}

  void start() {
    progress_.emplace(
        console_, ranks_ == 1 ? "generating" : fmt::format("generating, 1 of {} processes", ranks_), "rows");
  }

  void add(std::int64_t tokens) {
    ++done_;
    tokens_ += tokens;
    seconds_ = progress_->seconds();
    progress_->at(static_cast<std::int64_t>(done_), static_cast<std::int64_t>(total_), rate_text());
  }

  // Of all ranks: sums, and the time of the slowest.
  void finish(ProcessGroup& group) {
    double slowest = 0;
    for (const auto& text : group.all_gather_text(Json(seconds_).dump()))
      slowest = std::max(slowest, Json::parse(text).get<double>());
    seconds_ = slowest;
    done_ = static_cast<std::size_t>(group.sum(static_cast<double>(done_)));
    tokens_ = static_cast<std::int64_t>(group.sum(static_cast<double>(tokens_)));
    if (done_ == 0) return;
    console_.say(fmt::format("generated {} rows, {}, in {}", done_, rate_text(), duration_text(seconds_)));
  }

  OrderedJson figures(std::size_t rows) const {
    const auto done = static_cast<double>(done_), tokens = static_cast<double>(tokens_);
    const auto ratio = [](double above, double below) { return below > 0 ? above / below : 0; };
    return {{"seconds", seconds_},
            {"samples", done_},
            {"samples_resumed", rows - done_},
            {"samples_per_s", ratio(done, seconds_)},
            {"tokens", tokens_},
            {"tokens_per_s", ratio(tokens, seconds_)},
            {"mean_tokens", ratio(tokens, done)}};
  }

 private:
  std::string rate_text() const {
    return fmt::format("{:.1f} tokens/s", static_cast<double>(tokens_) / std::max(seconds_, 1e-9));
  }

  Console& console_;
  std::size_t total_, done_ = 0;
  int ranks_;
  std::int64_t tokens_ = 0;
  std::optional<Progress> progress_;
  double seconds_ = 0;  // to the last completion
};

Subject find_subject(const TestRequest& request, const Say& say) {
  Subject subject;
  subject.model.checkpoint = find_checkpoint(request.checkpoint, say);
  subject.model.base_model = request.checkpoint.fetch_base(say);
  const auto& checkpoint = subject.model.checkpoint;
  say(fmt::format("checkpoint: {} ({})", checkpoint.folder.string(),
                  checkpoint.is_adapter ? "LoRA adapter" : "whole model"));
  subject.run = find_run(checkpoint.folder, request.checkpoint);
  if (const auto problem = wrong_base_problem(subject.run.folder, subject.model.base_model))
    throw UserError(ExitCode::kModel, std::vector{*problem});
  subject.test_file = find_test_file(request.test.test_path, subject.run, say);
  subject.rows = read_test_rows(subject.test_file, request.test.max_samples);
  subject.header = constant_header(subject.test_file, subject.rows);
  subject.folder = request.test.output_dir ? fs::path(*request.test.output_dir)
                                           : subject.run.folder / "eval" / subject.run.checkpoint_name;
  return subject;
}

// Settings of the training that prompts and their end depend on.
void follow_training(TestRequest& request, const TrainedRun& run, const Tokenizer& tokenizer,
                     const std::set<std::string>& given) {
  if (given.count("special_in_text") == 0)
    request.test.special_in_text = run.option("special_in_text", request.test.special_in_text);
  const auto eos = run.option<std::string>("eos_token", "");
  if (const auto id = tokenizer.token_to_id(eos)) request.generate.stop_ids.push_back(*id);
}

std::vector<Prompt> encode_prompts(const Subject& subject, const Tokenizer& tokenizer, bool special_in_text) {
  std::vector<Prompt> prompts;
  for (const auto& row : subject.rows) {
    const auto index = static_cast<std::int64_t>(prompts.size());
    // A chat template writes its special tokens itself.
    prompts.push_back({index, row.chat.empty() ? tokenizer.encode_prompt(row.input, special_in_text)
                                               : tokenizer.encode(row.input, {.add_special_tokens = false})});
    if (prompts.back().ids.empty())
      fail(ExitCode::kData, "the prompt is empty, and the tokenizer puts no token before it",
           fmt::format("{}:{}", subject.test_file.string(), index + 1), "leave the row out");
  }
  return prompts;
}

Json sampling_of(const TestRequest& request) {
  auto options = request.generate;
  auto sampling = OptionTable(options).to_json();
  sampling.erase("batch_size");  // changes speed alone
  sampling["stop_ids"] = request.generate.stop_ids;
  return sampling;
}

// The files that make a checkpoint what it is, by a hash of their hashes or, of large ones, their sizes.
std::string fingerprint(const fs::path& checkpoint) {
  if (fs::exists(checkpoint / "manifest.json"))
    return sha256_hex_of_file(checkpoint / "manifest.json", ExitCode::kModel);
  std::map<std::string, std::uintmax_t> sizes;
  for (const auto& file : files_below(checkpoint)) sizes[file.string()] = fs::file_size(checkpoint / file);
  return sha256_hex(Json(sizes).dump());
}

// All that the predictions depend on.
Json settings_of(const TestRequest& request, const Subject& subject, TextEngine engine) {
  Json settings = sampling_of(request);
  settings["checkpoint"] = fs::absolute(subject.model.checkpoint.folder).string();
  settings["checkpoint_fingerprint"] = fingerprint(subject.model.checkpoint.folder);
  settings["base_model"] = fs::absolute(subject.model.base_model).string();
  settings["test_sha256"] = sha256_hex_of_file(subject.test_file, ExitCode::kData);
  settings["special_in_text"] = request.test.special_in_text;
  settings["engine"] = engine == TextEngine::kVllm ? "vllm" : "native";
  settings["dtype"] = request.test.dtype;
  settings["merge_adapter"] = request.test.merge_adapter;
  return settings;
}

// One line that a terminal can be trusted with.
std::string shown(const std::string& text) {
  std::string line;
  std::size_t characters = 0;
  for (const char c : text) {
    const bool starts_one = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (starts_one && ++characters > kShownCharacters) return line + "...";
    const bool is_control = static_cast<unsigned char>(c) < 32 || c == 127;
    line += c == '\n' ? std::string("\\n") : std::string(1, is_control ? ' ' : c);
  }
  return line;
}

void show_rows(const std::vector<Prediction>& rows, Console& console) {
  for (std::size_t at = 0; at < std::min(rows.size(), kShownRows); ++at)
    console.say(fmt::format("row {}\n  prompt:     {}\n  label:      {}\n  prediction: {}", rows[at].index,
                            shown(rows[at].input), shown(rows[at].label), shown(rows[at].prediction)));
}

// Completes the rows that `files` has not, those of every rank; returns the figures of that.
OrderedJson predict(const TestRequest& request, const Subject& subject, const Tokenizer& tokenizer,
                    TextEngine engine, World& world, PredictionFiles& files, Console& console) {
  auto prompts = encode_prompts(subject, tokenizer, request.test.special_in_text);
  std::vector<std::int64_t> lengths;
  for (const auto& prompt : prompts) lengths.push_back(static_cast<std::int64_t>(prompt.ids.size()));
  auto& group = world.group();
  std::erase_if(prompts, [&](const Prompt& prompt) { return files.has(prompt.index); });
  std::int64_t turn = 0;
  std::erase_if(prompts, [&](const Prompt&) { return turn++ % group.size() != group.rank(); });

  Meter meter(console, prompts.size(), group.size());
  const auto on_completion = [&](Completion completion) {
    const auto& row = subject.rows[completion.index];
    const auto tokens = static_cast<std::int64_t>(completion.ids.size());
    files.add({completion.index, row.input, row.label, std::move(completion.text),
               std::string(finish_reason_name(completion.finish_reason)), lengths[completion.index], tokens});
    meter.add(tokens);
    enter_phase("generating");
  };
  if (!prompts.empty()) {
    console.progress("loading " + subject.model.model_folder().string());
    complete_prompts(engine, request, subject.model, tokenizer, prompts, subject.folder,
                     world.ranks_on_this_machine(), console, {[&] { meter.start(); }, on_completion});
  }
  enter_phase("waiting for the rows of other processes");
  meter.finish(group);
  files.share();
  return meter.figures(subject.rows.size());
}

// A mistake in the options of BERTScore must show before the texts are generated, not after. Returns why
// there is no encoder, "" where there is one.
std::string encoder_defect(const BertScoreOptions& options) {
  try {
    BertScorer::load(options);
    return "";
  } catch (const EncoderUnavailable& error) {
    return error.what();
  }
}

OrderedJson bert_figures(const BertScorer& scorer, const BertScoreOptions& options, const TextPairs& pairs,
                         Console& console) {
  const auto total = pairs.labels.size();
  Progress progress(console, "BERTScore", "rows");
  const auto scores = scorer.score(pairs.predictions, pairs.labels, [&](std::int64_t done) {
    progress.at(done, static_cast<std::int64_t>(total));
  });
  BertScore mean;
  for (const auto& score : scores) {
    mean.precision += score.precision / static_cast<double>(total);
    mean.recall += score.recall / static_cast<double>(total);
    mean.f1 += score.f1 / static_cast<double>(total);
  }
  return {{"precision", mean.precision},
          {"recall", mean.recall},
          {"f1", mean.f1},
          {"model", scorer.name()},
          {"layer", scorer.layer()},
          {"idf", options.bertscore_idf},
          {"rescaled", options.bertscore_rescale},
          {"hash", scorer.hash()}};
}

// With BERTScore, unless it was left out or there is no encoder: then it says so.
OrderedJson measure(const std::vector<Prediction>& rows, const std::string& header,
                    const BertScoreOptions& options, const std::string& defect, Console& console) {
  if (options.no_bertscore) return measure_predictions(rows, header, nullptr);
  if (!defect.empty())
    return measure_predictions(rows, header, [&](const TextPairs&) {
      return OrderedJson{{"status", "unavailable"}, {"reason", defect}};
    });
  const auto scorer = BertScorer::load(options);
  return measure_predictions(
      rows, header, [&](const TextPairs& pairs) { return bert_figures(scorer, options, pairs, console); });
}

}  // namespace

int run_test(TestRequest& request, const std::set<std::string>& given) {
  Console console(stdout, is_first_rank());
  const auto say = [&](const std::string& line) { console.say(line); };
  auto subject = find_subject(request, say);
  const auto engine = choose_engine(request.test, !rank_environment(), say);
  const auto config = read_model_config(subject.model.model_folder());
  const auto tokenizer = Tokenizer::load(subject.model.tokenizer_folder());
  require_ids_within(tokenizer, config.vocab_size);
  follow_training(request, subject.run, tokenizer, given);
  const auto ends = render_chats(subject.rows, subject.test_file, subject.model.base_model, tokenizer);
  request.generate.stop_ids.insert(request.generate.stop_ids.end(), ends.begin(), ends.end());

  const auto defect = request.bert_score.no_bertscore ? "" : encoder_defect(request.bert_score);
  if (!defect.empty()) say("warning: no BERTScore: " + defect);

  const auto settings = settings_of(request, subject, engine);
  const auto world = meet_other_ranks(request, subject.model.model_folder());
  PredictionFiles files(subject.folder, settings, {request.test.resume, current_launch_id()}, world->group(),
                        say);
  const auto generation = predict(request, subject, tokenizer, engine, *world, files, console);
  world->leave();
  if (!world->group().is_root()) return 0;  // what is left, one can do
  const auto rows = files.write(static_cast<std::int64_t>(subject.rows.size()));
  show_rows(rows, console);

  auto metrics = measure(rows, subject.header, request.bert_score, defect, console);
  metrics["generation"] = generation;
  metrics["checkpoint"] = settings["checkpoint"];
  metrics["base_model"] = settings["base_model"];
  metrics["test_path"] = fs::absolute(subject.test_file).string();
  metrics["test_sha256"] = settings["test_sha256"];
  metrics["engine"] = settings["engine"];
  metrics["dtype"] = request.test.dtype;
  metrics["sampling"] = sampling_of(request);
  write_file_atomically(subject.folder / "metrics.json", metrics.dump(2) + "\n");
  files.remove_partial();
  console.say(metrics_table(metrics));
  console.say("results: " + subject.folder.string());
  return 0;
}

}  // namespace anneal
