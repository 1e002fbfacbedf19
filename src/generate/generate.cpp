// The plain form: one prompt at a time, every token from a pass over all that stands before it.
#include "generate/generate.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"
#include "models/language_head.h"

namespace anneal {
namespace {

constexpr double kGreedyBelow = 1e-5, kLowestTemperature = 0.01;

std::int32_t sample(const at::Tensor& logits_V, const GenerateOptions& options, double uniform) {
  if (options.temperature < kGreedyBelow)
    return static_cast<std::int32_t>(at::argmax(logits_V).item<std::int64_t>());
  const auto scaled = logits_V.to(at::kDouble).div(std::max(options.temperature, kLowestTemperature));
  const auto [sorted, order] = at::sort(at::softmax(scaled, 0), /*dim=*/0, /*descending=*/true);
  const double* weights = sorted.const_data_ptr<double>();
  const auto allowed = options.top_k > 0 ? std::min(options.top_k, sorted.numel()) : sorted.numel();
  const double all = std::accumulate(weights, weights + allowed, 0.0);
  std::int64_t kept = 0;
  double mass = 0;
  while (kept < allowed && (kept == 0 || mass < options.top_p * all)) mass += weights[kept++];
  std::int64_t chosen = 0;
  for (double below = weights[0]; chosen + 1 < kept && below <= uniform * mass;) below += weights[++chosen];
  return static_cast<std::int32_t>(order.select(0, chosen).item<std::int64_t>());
}

bool cut_at_stop_string(std::string& text, const std::vector<std::string>& stops) {
  auto first = text.npos;
  for (const auto& stop : stops) first = std::min(first, text.find(stop));
  if (first != text.npos) text.resize(first);
  return first != text.npos;
}

Completion complete(const CausalLm& model, const Tokenizer& tokenizer, const Prompt& prompt,
                    const GenerateOptions& options) {
  Completion completion{prompt.index, {}, "", FinishReason::kLength};
  const auto limit = std::min(options.max_model_len, model.config.max_position_embeddings);
  const auto length = static_cast<std::int64_t>(prompt.ids.size());
  if (length >= limit) completion.finish_reason = FinishReason::kPromptTooLong;
  const auto stop_ids = tokenizer.stop_ids();
  auto ids = prompt.ids;
  for (std::int64_t step = 0; step < std::min(options.max_tokens, limit - length); ++step) {
    const SampleView view{ids, static_cast<std::int64_t>(ids.size())};
    const auto logits_NV = all_logits(model, make_token_batch({&view, 1}));
    const auto key = mix(mix(options.seed, prompt.index), step);
    ids.push_back(sample(logits_NV.select(0, -1), options, to_unit_interval(key)));
    completion.ids.push_back(ids.back());
    completion.text = tokenizer.decode(completion.ids, /*skip_special_tokens=*/true);
    const bool stops = std::find(stop_ids.begin(), stop_ids.end(), ids.back()) != stop_ids.end();
    if (!cut_at_stop_string(completion.text, options.stop) && !stops) continue;
    completion.finish_reason = FinishReason::kStop;
    break;
  }
  return completion;
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  constexpr std::string_view kNames[] = {"stop", "length", "prompt_too_long"};
  return kNames[static_cast<int>(reason)];
}

void generate(const CausalLm& model, const Tokenizer& tokenizer, const std::vector<Prompt>& prompts,
              const GenerateOptions& options, const std::function<void(Completion)>& on_completion) {
  const c10::InferenceMode no_autograd;
  for (const auto& prompt : prompts) on_completion(complete(model, tokenizer, prompt, options));
}

}  // namespace anneal
