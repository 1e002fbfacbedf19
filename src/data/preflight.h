// What shows in the tokens before any training: figures of the samples, and mistakes that would cost a run
// and look like a bad model.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/example_set.h"

namespace anneal {

// `bos_id`: the tokenizer's, where it has one. An end of sequence that is never trained is a problem only
// where `options` ask for one.
std::vector<Problem> preflight(const ExampleSet& examples, const ExampleOptions& options,
                               std::optional<std::int32_t> bos_id);

// Lines for the console: what was dropped and cut, how much is trained, how long the samples are.
std::vector<std::string> preflight_report(const ExampleSet& examples, const ExampleOptions& options);

// The token that more than half of the examples end in, where it is none of `stop_ids`: who generates with
// the model has to be told to stop there.
std::optional<std::int32_t> unknown_end(const ExampleSet& examples, std::span<const std::int32_t> stop_ids);

// Throws UserError(kData) with what preflight finds; with `force` it goes to `warn` instead.
void require_sound_samples(const ExampleSet& examples, const ExampleOptions& options,
                           std::optional<std::int32_t> bos_id, bool force,
                           const std::function<void(const std::string&)>& warn);

}  // namespace anneal
