#include "data/example.h"

#include <algorithm>

#include "base/error.h"

namespace anneal {
namespace {

// Stretches that are not trained, or not there any more, at the end.
void drop_untrained_end(std::vector<std::int32_t>& trained, std::vector<std::int32_t>& untrained) {
  while (!untrained.empty() && untrained.back() >= static_cast<std::int32_t>(trained.size())) {
    trained.resize(std::min(trained.size(), static_cast<std::size_t>(untrained[untrained.size() - 2])));
    untrained.resize(untrained.size() - 2);
  }
}

}  // namespace

std::int64_t count_trained(std::size_t tokens, std::int64_t prompt_length,
                           std::span<const std::int32_t> untrained) {
  auto count = static_cast<std::int64_t>(tokens) - std::max<std::int64_t>(prompt_length, 1);
  for (std::size_t at = 0; at < untrained.size(); at += 2) count -= untrained[at + 1] - untrained[at];
  return count;
}

ExampleMaker::ExampleMaker(const ExampleEncoder& encoder, const ExampleOptions& options)
    : encoder_(encoder), options_(options), leading_specials_(encoder.leading_specials()) {
  if (!options.add_eos) return;
  eos_id_ = encoder.eos_id();
  if (!eos_id_)
    fail(ExitCode::kModel, "the tokenizer has no end-of-sequence token", "--add_eos",
         "name one with --eos_token TEXT, or train without it with --no_add_eos");
}

MadeExample ExampleMaker::make(std::string_view input, std::string_view output) const {
  auto prompt = encoder_.encode_prompt(input);
  auto trained = encoder_.encode_continuation(output);
  Example example;
  example.specials_in_text = encoder_.count_specials(std::span(prompt).subspan(leading_specials_)) +
                             encoder_.count_specials(trained);
  if (eos_id_) {
    if (trained.empty() || trained.back() != *eos_id_) trained.push_back(*eos_id_);
    example.has_end = true;
  }
  return join(std::move(prompt), std::move(trained), std::move(example));
}

MadeExample ExampleMaker::make(const RenderedChat& chat) const {
  const auto [ids, counts] = encoder_.encode_chat(chat.text, chat.bounds);
  if (counts.empty()) return {.outcome = ExampleOutcome::kEmpty};
  const auto begin = static_cast<std::ptrdiff_t>(counts.front());
  std::vector<std::int32_t> trained(ids.begin() + begin,
                                    ids.begin() + static_cast<std::ptrdiff_t>(counts.back()));
  Example example;
  for (std::size_t turn = 1; turn + 1 < counts.size(); turn += 2)
    if (counts[turn] != counts[turn + 1])
      for (const auto bound : {counts[turn], counts[turn + 1]})
        example.untrained.push_back(static_cast<std::int32_t>(bound) - static_cast<std::int32_t>(begin));
  drop_untrained_end(trained, example.untrained);
  example.has_end = chat.is_closed;
  // A template without a token that closes turns: the chat ends where its text does.
  if (eos_id_ && !chat.is_closed && chat.bounds.back() == chat.text.size()) {
    if (trained.empty() || trained.back() != *eos_id_) trained.push_back(*eos_id_);
    example.has_end = true;
  }
  return join({ids.begin(), ids.begin() + begin}, std::move(trained), std::move(example));
}

MadeExample ExampleMaker::join(std::vector<std::int32_t> prompt, std::vector<std::int32_t> trained,
                               Example example) const {
  MadeExample made;
  made.prompt_tokens = static_cast<std::int64_t>(prompt.size());
  const auto limit = static_cast<std::size_t>(options_.max_seq_length);
  if (prompt.size() + 1 >= limit) {
    // Room for one token of the output and the end of sequence.
    const auto kept = limit - 2;
    if (options_.long_prompt != "left_truncate" || kept < leading_specials_ || kept == 0) {
      made.outcome = ExampleOutcome::kLongPrompt;
      return made;
    }
    prompt.erase(prompt.begin() + leading_specials_, prompt.end() - (kept - leading_specials_));
    made.outcome = ExampleOutcome::kTruncated;
  }
  auto& untrained = example.untrained;
  if (prompt.size() + trained.size() > limit) {
    if (options_.on_overlong_output == "drop") {
      made.outcome = ExampleOutcome::kOverlong;
      return made;
    }
    trained.resize(limit - prompt.size());  // cuts at least the end of sequence
    drop_untrained_end(trained, untrained);
    example.has_end = false;
    made.outcome = ExampleOutcome::kTruncated;
  }
  example.prompt_length = static_cast<std::int32_t>(prompt.size());
  for (auto& bound : untrained) bound += example.prompt_length;
  example.ids = std::move(prompt);
  example.ids.insert(example.ids.end(), trained.begin(), trained.end());
  if (example.trained_tokens() <= 0) made.outcome = ExampleOutcome::kEmpty;
  made.example = std::move(example);
  return made;
}

}  // namespace anneal
