#include "data/preflight.h"

#include <string>

namespace anneal {

std::vector<Problem> preflight(const ExampleSet& examples, const ExampleOptions& options,
                               std::optional<std::int32_t> bos_id) {
  std::int64_t doubled = 0, first_doubled = -1;
  for (std::int64_t index = 0; index < examples.size(); ++index) {
    const auto example = examples[index];
    if (bos_id && example.ids.size() > 1 && example.ids[0] == *bos_id && example.ids[1] == *bos_id &&
        doubled++ == 0)
      first_doubled = example.row;
  }
  std::vector<Problem> problems;
  if (examples.counts().trained_tokens == 0)
    problems.push_back({"no token is trained", "training data", "check the templates and --max_seq_length"});
  if (doubled > 0)
    problems.push_back({std::to_string(doubled) + " examples begin with two beginning-of-sequence tokens",
                        "row " + std::to_string(first_doubled),
                        "take the token out of --hfdc_input_template: the tokenizer adds it"});
  if (options.add_eos && examples.size() > 0 && examples.counts().ended == 0)
    problems.push_back({"the end of sequence is never trained, because every example is cut off",
                        "--max_seq_length",
                        "raise it: the longest example has " + std::to_string(examples.counts().longest) +
                            " tokens after the cut"});
  return problems;
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
