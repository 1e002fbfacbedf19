#include "eval/score.h"

#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "models/language_head.h"
#include "models/sample_shares.h"
#include "models/trained_shape.h"
#include "plan/flops.h"

namespace anneal {

namespace {

using Batches = std::vector<std::vector<std::size_t>>;

// Samples of like length together: attention is spread over threads by segment.
Batches batches_of(std::vector<std::size_t> order, const std::vector<SampleView>& samples,
                   std::int64_t budget) {
  const auto length = [&](std::size_t sample) {
    return static_cast<std::int64_t>(samples[sample].ids.size());
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return length(a) > length(b); });
  Batches batches;
  std::int64_t tokens = 0;
  for (const auto sample : order) {
    if (batches.empty() || tokens + length(sample) > budget) {
      batches.emplace_back();
      tokens = 0;
    }
    batches.back().push_back(sample);
    tokens += length(sample);
  }
  return batches;
}

// In the order of `chosen`.
std::vector<SampleScore> score_batch(const CausalLm& model, const std::vector<SampleView>& samples,
                                     const std::vector<std::size_t>& chosen) {
  std::vector<SampleView> views;
  for (const auto sample : chosen) views.push_back(samples[sample]);
  const auto batch = make_token_batch(views, model.device);
  const auto hidden_NE = run_layers(model, batch);
  const Gathered weights(model.head_unit()), tied(model.tied_head_unit());
  const auto head = language_head(model, hidden_NE, batch, std::nullopt);
  std::vector<SampleScore> scores(chosen.size());
  for (std::size_t segment = 0; segment < chosen.size(); ++segment) {
    auto& score = scores[segment];
    for (auto row = batch.row_of_segment[segment]; row < batch.row_of_segment[segment + 1]; ++row) {
      score.nll += head.losses_M[row].nll;
      score.exact = score.exact && head.losses_M[row].target_is_argmax;
      ++score.tokens;
    }
  }
  return scores;
}

}  // namespace

std::vector<SampleScore> score_samples(const CausalLm& model, const std::vector<SampleView>& samples,
                                       std::int64_t budget, ProcessGroup& group,
                                       const std::function<void(std::int64_t)>& progress) {
  const c10::InferenceMode no_autograd;
  std::vector<double> costs;
  const auto rates = flop_rates(shape_of(model));
  for (const auto& sample : samples)
    costs.push_back(rates.of_sample(static_cast<std::int64_t>(sample.ids.size()), trained_positions(sample)));
  const auto shares = share_samples(costs, group.size());
  std::vector<Batches> batches;
  std::size_t rounds = 0;
  for (const auto& share : shares) {
    batches.push_back(batches_of(share, samples, budget));
    rounds = std::max(rounds, batches.back().size());
  }
  std::vector<SampleScore> scores(samples.size());
  std::int64_t done = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    const auto& own = batches[group.rank()];
    if (round < own.size()) {
      const auto found = score_batch(model, samples, own[round]);
      for (std::size_t at = 0; at < found.size(); ++at) scores[own[round][at]] = found[at];
    } else if (model.is_shared()) {  // to take part in the gathering of weights
      score_batch(model, samples, {batches[0].back().back()});
    }
    for (const auto& of_rank : batches)
      if (round < of_rank.size()) done += static_cast<std::int64_t>(of_rank[round].size());
    progress(done);
  }
  exchange_scores(scores, shares[group.rank()], group);
  return scores;
}

void exchange_scores(std::vector<SampleScore>& scores, const std::vector<std::size_t>& own,
                     ProcessGroup& group) {
  if (group.size() == 1) return;
  auto table = at::zeros({static_cast<std::int64_t>(scores.size()), 3}, at::kDouble);
  auto* rows = table.mutable_data_ptr<double>();
  for (const auto sample : own) {
    const auto& score = scores[sample];
    rows[3 * sample] = score.nll;
    rows[3 * sample + 1] = static_cast<double>(score.tokens);
    rows[3 * sample + 2] = score.exact;
  }
  group.all_reduce_sum(table);
  for (std::size_t sample = 0; sample < scores.size(); ++sample)
    scores[sample] = {rows[3 * sample], static_cast<std::int64_t>(rows[3 * sample + 1]),
                      rows[3 * sample + 2] != 0};
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
