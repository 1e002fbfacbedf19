#include "engine/training_samples.h"

#include <fmt/format.h>

#include "base/file.h"
#include "data/preflight.h"
#include "data/sample_statistics.h"
#include "data/token_cache.h"
#include "data/tokenizer_encoder.h"
#include "data/tokenizing_progress.h"
#include "engine/train_world.h"

namespace anneal {
namespace {

void describe_examples(const ExampleSet& set, const char* name, RunLog& log) {
  std::string notes;
  for (const auto& [reason, rows] : set.counts().dropped)
    notes += fmt::format(", {} dropped ({})", rows, reason);
  if (set.counts().skipped > 0) notes += fmt::format(", {} bad lines skipped", set.counts().skipped);
  if (set.counts().truncated > 0) notes += fmt::format(", {} cut at max_seq_length", set.counts().truncated);
  if (set.counts().specials_in_text > 0)
    notes += fmt::format(", {} special tokens in the texts of rows", set.counts().specials_in_text);
  log.say(fmt::format("{}: {} samples, {} tokens, {} of them trained, longest {}{}", name, set.size(),
                      set.tokens(), set.counts().trained_tokens, set.counts().longest, notes));
}

}  // namespace

PreparedData prepared_data(const TrainRequest& request, ProcessGroup& group, RunLog& log) {
  PreparedData data;
  const auto prepare = [&] {
    data = prepare_data(request.dataset, request.train.seed, [&](const std::string& line) { log.say(line); });
  };
  group.on_root(prepare);
  group.on_all([&] {
    if (!group.is_root()) prepare();
  });
  require_agreement(data.data_sha256, "data", group);
  return data;
}

TrainingSamples load_samples(const TrainRequest& request, const PreparedData& data,
                             const Tokenizer& tokenizer, RunLog& log) {
  const TokenizerEncoder encoder(tokenizer, request.example);
  const auto folder = request.model.folder();
  ChatRenderer chats(folder, tokenizer.added_tokens());
  ExampleSetOptions options{.threads = request.train.dataloader_num_workers,
                            .skip_bad_rows = request.dataset.skip_bad_rows,
                            .chats = &chats};
  const TokenOrigin origin{data.data_sha256, folder};
  const auto load = [&](const std::filesystem::path& file) {
    options.progress = tokenizing_progress(log.console(), file);
    return load_kept_examples(file, origin, encoder, request.example, options,
                              [&](const std::string& line) { log.say(line); });
  };
  TrainingSamples samples;
  samples.training = load(data.training);
  describe_examples(samples.training, "training", log);
  options.first_rows = request.train.max_eval_samples;
  options.required = false;
  samples.validation = load(data.validation);
  if (samples.validation.size() > 0)
    describe_examples(samples.validation, "validation", log);
  else
    log.say("warning: no validation samples; no evaluation, no early stopping, one checkpoint at the end");
  require_sound_samples(samples.training, request.example, tokenizer.bos_id(), request.run.force,
                        [&](const std::string& line) { log.say(line); });
  if (const auto end = unknown_end(samples.training, tokenizer.stop_ids()); end && tokenizer.is_special(*end))
    log.say(fmt::format(
        "notice: the samples end in {}, at which generation does not stop by the model's files: add "
        "its id {} to eos_token_id in generation_config.json, or name it where texts are generated",
        tokenizer.piece(*end), *end));
  return samples;
}

void write_sample_statistics(const TrainingSamples& samples, const std::filesystem::path& run) {
  const Json statistics = {{"version", 1},
                           {"training", sample_statistics(samples.training)},
                           {"validation", sample_statistics(samples.validation)}};
  write_file_atomically(run / kSampleStatistics, statistics.dump() + "\n");
}

}  // namespace anneal
