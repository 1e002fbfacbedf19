#include "eval/score.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <numeric>

#include "models/language_head.h"

namespace anneal {

std::vector<SampleScore> score_samples(const CausalLm& model, const std::vector<SampleView>& samples,
                                       std::int64_t budget,
                                       const std::function<void(std::int64_t)>& progress) {
  const c10::InferenceMode no_autograd;
  // Samples of like length together: attention is spread over threads by segment.
  std::vector<std::size_t> order(samples.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return samples[a].ids.size() > samples[b].ids.size();
  });
  std::vector<SampleScore> scores(samples.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::vector<SampleView> chosen;
    std::int64_t tokens = 0;
    std::size_t end = begin;
    for (; end < order.size(); ++end) {
      tokens += static_cast<std::int64_t>(samples[order[end]].ids.size());
      if (end > begin && tokens > budget) break;
      chosen.push_back(samples[order[end]]);
    }
    const auto batch = make_token_batch(chosen, model.device);
    const auto head = language_head(model, run_layers(model, batch), batch, std::nullopt);
    for (std::size_t at = begin; at < end; ++at) {
      auto& score = scores[order[at]];
      for (auto row = batch.row_of_segment[at - begin]; row < batch.row_of_segment[at - begin + 1]; ++row) {
        score.nll += head.losses_M[row].nll;
        score.exact = score.exact && head.losses_M[row].target_is_argmax;
        ++score.tokens;
      }
    }
    begin = end;
    progress(static_cast<std::int64_t>(end));
  }
  return scores;
}

MeanLoss mean_loss(const std::vector<SampleScore>& scores) {
  MeanLoss mean;
  double nll = 0;
  for (const auto& score : scores) {
    nll += score.nll;
    mean.tokens += score.tokens;
    mean.exact += score.exact;
  }
  mean.samples = static_cast<std::int64_t>(scores.size());
  mean.loss = mean.tokens > 0 ? nll / static_cast<double>(mean.tokens) : 0;
  return mean;
}

}  // namespace anneal
