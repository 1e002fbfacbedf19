#include "data/example.h"

#include "base/error.h"

namespace anneal {

ExampleMaker::ExampleMaker(const ExampleEncoder& encoder, const ExampleOptions& options)
    : encoder_(encoder), options_(options), leading_specials_(encoder.leading_specials()) {
  if (!options.add_eos) return;
  eos_id_ = encoder.eos_id();
  if (!eos_id_)
    fail(ExitCode::kModel, "the tokenizer has no end-of-sequence token", "--add_eos",
         "name one with --eos_token TEXT, or train without it with --no_add_eos");
}

MadeExample ExampleMaker::make(std::string_view input, std::string_view output) const {
  MadeExample made;
  auto& ids = made.example.ids;
  ids = encoder_.encode_prompt(input);
  auto trained = encoder_.encode_continuation(output);
  made.prompt_tokens = static_cast<std::int64_t>(ids.size());
  made.output_tokens = static_cast<std::int64_t>(trained.size());
  if (eos_id_ && (trained.empty() || trained.back() != *eos_id_)) trained.push_back(*eos_id_);

  const auto limit = static_cast<std::size_t>(options_.max_seq_length);
  if (ids.size() + 1 >= limit) {
    // Room for one token of the output and the end of sequence.
    const auto kept = limit - 2;
    if (options_.long_prompt != "left_truncate" || kept < leading_specials_ || kept == 0) {
      made.outcome = ExampleOutcome::kLongPrompt;
      return made;
    }
    ids.erase(ids.begin() + leading_specials_, ids.end() - (kept - leading_specials_));
    made.outcome = ExampleOutcome::kTruncated;
  }
  if (ids.size() + trained.size() > limit) {
    if (options_.on_overlong_output == "drop") {
      made.outcome = ExampleOutcome::kOverlong;
      return made;
    }
    trained.resize(limit - ids.size());  // cuts at least the end of sequence
    made.outcome = ExampleOutcome::kTruncated;
  }
  made.example.prompt_length = static_cast<std::int32_t>(ids.size());
  ids.insert(ids.end(), trained.begin(), trained.end());
  if (made.example.trained_tokens() <= 0) made.outcome = ExampleOutcome::kEmpty;
  return made;
}

}  // namespace anneal
