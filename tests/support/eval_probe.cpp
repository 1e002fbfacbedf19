#include "tests/support/eval_probe.h"

#include <chrono>

#include "base/file.h"
#include "base/options.h"
#include "eval/bert_score.h"
#include "text/text_metrics.h"

namespace anneal {
namespace {

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

void add_bert_score(const Json& request, const std::vector<std::string>& candidates,
                    const std::vector<std::string>& references, Json& answer) {
  BertScoreOptions options;
  OptionTable(options).load(request.at("options"), "options");
  const Stopwatch loading;
  const auto scorer = BertScorer::load(options);
  answer["load_seconds"] = loading.seconds();
  answer["layer"] = scorer.layer();
  answer["hash"] = scorer.hash();
  const Stopwatch scoring;
  for (const auto& score : scorer.score(candidates, references))
    answer["scores"].push_back({score.precision, score.recall, score.f1});
  answer["score_seconds"] = scoring.seconds();
}

}  // namespace

void run_eval_probe(const Json& request) {
  const auto candidates = request.at("candidates").get<std::vector<std::string>>();
  const auto references = request.at("references").get<std::vector<std::string>>();
  Json answer;
  for (std::size_t pair = 0; pair < candidates.size(); ++pair) {
    answer["rouge_l"].push_back(rouge_l_f1(candidates[pair], references[pair]));
    answer["token_f1"].push_back(token_f1(candidates[pair], references[pair]));
    answer["exact"].push_back(exact_match(candidates[pair], references[pair]));
  }
  try {
    if (!request.at("options").is_null()) add_bert_score(request, candidates, references, answer);
  } catch (const EncoderUnavailable& error) {
    answer["unavailable"] = error.what();
  }
  write_file_atomically(request.at("output").get<std::string>(), answer.dump());
}

}  // namespace anneal
