#include "engine/score_command.h"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "checkpoint/peft_adapter.h"
#include "checkpoint/tensor_file.h"
#include "data/load_examples.h"
#include "data/tokenizer_encoder.h"
#include "data/tokenizing_progress.h"
#include "device/device.h"
#include "engine/model_samples.h"
#include "eval/score.h"
#include "models/language_head.h"
#include "train/sample_views.h"

namespace anneal {
namespace {

void write_logits(const CausalLm& model, const SampleView& sample, const std::string& path) {
  const c10::InferenceMode no_autograd;
  const auto batch = make_token_batch({&sample, 1}, model.device);
  const auto logits = all_logits(model, batch).cpu();
  const auto ids = batch.ids_N.cpu();
  write_safetensors(path, {view_of("ids", ids), view_of("logits", logits)});
}

}  // namespace

int run_score(ScoreRequest& request, const std::set<std::string>& given) {
  Console console(stderr);  // standard output is for the scores
  request.model.fetch(request.offline, [&](const std::string& line) { console.say(line); });
  const auto folder = request.model.folder();
  const auto config = read_model_config(folder);
  const auto notice =
      fit_length(request.example.max_seq_length, given.count("max_seq_length") != 0, config.rope.longest());
  if (!notice.empty()) console.say(notice);
  const auto tokenizer = Tokenizer::load(folder);
  require_ids_within(tokenizer, config.vocab_size);
  const TokenizerEncoder encoder(tokenizer, request.example);
  ChatRenderer chats(folder, tokenizer.added_tokens());
  const auto examples = load_examples(request.data, encoder, request.example,
                                      {.threads = request.dataloader_num_workers,
                                       .chats = &chats,
                                       .progress = tokenizing_progress(console, request.data)});
  const auto device = resolve_device(request.model.device);
  console.progress("loading " + folder.string());
  CausalLm model(folder, resolve_precision(request.model, device), device);
  if (request.adapter) load_peft_adapter(model, read_peft_config(*request.adapter), *request.adapter);

  const auto samples = sample_views(examples);
  if (request.logits) write_logits(model, samples.front(), *request.logits);
  ProcessGroup alone;
  Progress progress(console, "scoring", "samples");
  const auto scores = score_samples(model, samples, request.batch_tokens, alone,
                                    [&](std::int64_t done) { progress.at(done, examples.size()); });
  console.clear_progress();
  std::string lines;
  for (std::int64_t index = 0; index < examples.size(); ++index) {
    OrderedJson line;
    line["index"] = examples[index].row;
    line["nll"] = scores[index].nll;
    line["tokens"] = scores[index].tokens;
    line["exact"] = scores[index].exact;
    lines += line.dump() + "\n";
  }
  if (request.output)
    write_file_atomically(*request.output, lines);
  else
    fmt::print("{}", lines);
  const auto mean = mean_loss(scores);
  std::int64_t dropped = examples.counts().skipped;
  for (const auto& [reason, rows] : examples.counts().dropped) dropped += rows;
  OrderedJson summary;
  summary["samples"] = mean.samples;
  summary["tokens"] = mean.tokens;
  summary["mean_nll"] = mean.loss;
  summary["perplexity"] = std::exp(mean.loss);
  summary["exact"] = mean.exact;
  summary["dropped"] = dropped;
  fmt::print("{}\n", summary.dump());
  return 0;
}

}  // namespace anneal
