#include "train/step.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <vector>

#include "base/activity.h"
#include "models/language_head.h"
#include "models/sample_shares.h"
#include "models/trained_shape.h"
#include "plan/flops.h"
#include "train/adamw.h"

namespace anneal {
namespace {

// The lowest layer that the gradient has to reach: -1 for the embedding, the number of layers where none is
// trained.
std::int64_t lowest_trained_layer(const CausalLm& model) {
  if (model.embedding_parameter) return -1;
  std::int64_t index = 0;
  while (index < static_cast<std::int64_t>(model.layers.size()) && !model.layers[index].trains_anything())
    ++index;
  return index;
}

// Gradients of shared units: those of one are summed over ranks beside the work on the next.
class SharedGradients {
 public:
  // Calls work(), which adds to the gradients of what the units train.
  template <class Work>
  void add(const std::vector<ShardedUnit*>& units, const Work& work) {
    for (auto* unit : units)
      if (unit) unit->open_gradients();
    work();
    finish();
    for (auto* unit : units)
      if (unit) unit->close_gradients();
    under_way_ = units;
  }

  void finish() {
    for (auto* unit : under_way_)
      if (unit) unit->finish_gradients();
    under_way_.clear();
  }

 private:
  std::vector<ShardedUnit*> under_way_;
};

double micro_batch(CausalLm& model, const TokenBatch& batch, const at::Tensor& row_keys,
                   std::int64_t kept_layers, double gradient_scale) {
  const auto num_layers = static_cast<std::int64_t>(model.layers.size());
  const auto rope = model.rope(batch);
  std::optional<RouterBalance> balance;
  const auto& experts = model.config.experts;
  if (experts && experts->router_aux_loss_coef) balance.emplace(batch, experts->count);
  const LayerPass pass{.rope = rope,
                       .segment_starts = batch.segment_starts,
                       .context = {row_keys},
                       .balance = balance ? &*balance : nullptr};
  const auto lowest = lowest_trained_layer(model);
  std::vector<LayerActivations> activations(num_layers);
  enter_phase("forward");
  auto x_NE = run_layers(model, batch, [&](std::int64_t index, const at::Tensor& in_NE) {
    const bool keeps = index >= num_layers - kept_layers && index >= lowest;
    if (!keeps && index >= lowest) activations[index].input_NE = in_NE;
    return model.layers[index].forward(model.config, in_NE, pass, keeps ? &activations[index] : nullptr);
  });

  enter_phase("backward");
  SharedGradients gradients;
  HeadResult head;
  {
    const Gathered weights(model.head_unit()), tied(model.tied_head_unit());
    if (lowest < num_layers) prefetch(model.layer_unit(num_layers - 1));
    gradients.add({model.head_unit(), model.tied_head_unit()},
                  [&] { head = language_head(model, x_NE, batch, gradient_scale); });
  }
  double sum_nll = 0;
  for (const auto& loss : head.losses_M) sum_nll += loss.nll;
  if (balance) sum_nll += balance->close(*experts->router_aux_loss_coef, gradient_scale);
  x_NE.reset();

  auto& dx_NE = head.dx_NE;
  for (std::int64_t index = num_layers - 1; index >= std::max<std::int64_t>(lowest, 0); --index) {
    auto& kept = activations[index];
    auto& layer = model.layers[index];
    const Gathered weights(model.layer_unit(index));
    if (index > std::max<std::int64_t>(lowest, 0)) prefetch(model.layer_unit(index - 1));
    if (!kept.holds_all()) layer.forward(model.config, at::Tensor(kept.input_NE), pass, &kept);
    gradients.add({model.layer_unit(index)}, [&] {
      layer.backward(model.config, dx_NE, kept, pass, /*wants_input_gradient=*/index > lowest);
    });
  }
  if (lowest < 0) gradients.add({model.embedding_unit()}, [&] { model.embed_backward(batch, dx_NE); });
  gradients.finish();
  return sum_nll;
}

// What a rank does of a step: samples of the pool, in order, as micro-batches.
std::vector<std::vector<std::size_t>> micro_batches_of(const std::vector<std::size_t>& samples,
                                                       const std::vector<std::int64_t>& lengths,
                                                       std::int64_t budget) {
  std::vector<std::int64_t> own;
  for (const auto sample : samples) own.push_back(lengths[sample]);
  const auto starts = cut_pool(own, budget);
  std::vector<std::vector<std::size_t>> batches;
  for (std::size_t cut = 0; cut + 1 < starts.size(); ++cut)
    if (starts[cut] < starts[cut + 1])
      batches.emplace_back(samples.begin() + static_cast<std::ptrdiff_t>(starts[cut]),
                           samples.begin() + static_cast<std::ptrdiff_t>(starts[cut + 1]));
  return batches;
}

}  // namespace

std::vector<std::size_t> cut_pool(const std::vector<std::int64_t>& lengths, std::int64_t budget) {
  std::vector<std::size_t> starts{0};
  std::int64_t tokens = 0;
  for (std::size_t index = 0; index < lengths.size(); ++index) {
    if (tokens > 0 && tokens + lengths[index] > budget) {
      starts.push_back(index);
      tokens = 0;
    }
    tokens += lengths[index];
  }
  starts.push_back(lengths.size());
  return starts;
}

PoolWork work_of(const std::vector<SampleView>& pool,
                 const std::function<double(const SampleView&)>& flops_of) {
  PoolWork work;
  for (const auto& sample : pool) {
    work.lengths.push_back(static_cast<std::int64_t>(sample.ids.size()));
    work.flops.push_back(flops_of(sample));
    work.loss.flops += work.flops.back();
    work.loss.tokens += work.lengths.back();
    work.loss.trained_tokens += trained_positions(sample);
  }
  return work;
}

StepLoss forward_backward(CausalLm& model, const std::vector<SampleView>& pool, const StepPlan& plan,
                          std::uint64_t seed, std::int64_t dropout_step, ProcessGroup& group) {
  const c10::InferenceMode no_autograd;
  const auto rates = flop_rates(shape_of(model));
  auto [loss, lengths, costs] = work_of(pool, [&](const SampleView& sample) {
    return rates.of_sample(static_cast<std::int64_t>(sample.ids.size()), trained_positions(sample));
  });
  if (loss.trained_tokens == 0) return loss;
  const auto shares = share_samples(costs, group.size());
  const auto batches = micro_batches_of(shares[group.rank()], lengths, plan.micro_batch_tokens);
  auto rounds = batches.size();
  if (model.is_shared())
    for (const auto& share : shares)
      rounds = std::max(rounds, micro_batches_of(share, lengths, plan.micro_batch_tokens).size());
  const auto shortest =
      static_cast<std::size_t>(std::min_element(lengths.begin(), lengths.end()) - lengths.begin());
  for (std::size_t round = 0; round < rounds; ++round) {
    // A rank that has done its share takes part in the gathering of weights, with gradients of zero.
    const bool counts = round < batches.size();
    const auto chosen = counts ? batches[round] : std::vector<std::size_t>{shortest};
    std::vector<SampleView> samples;
    for (const auto sample : chosen) samples.push_back(pool[sample]);
    const auto batch = make_token_batch(samples, model.device);
    const auto keys = dropout_row_keys(batch, seed, dropout_step, chosen);
    const auto sum_nll = micro_batch(model, batch, keys, plan.kept_layers,
                                     counts ? 1 / static_cast<double>(loss.trained_tokens) : 0);
    if (counts) loss.sum_nll += sum_nll;
  }
  enter_phase("reducing gradients");
  loss.sum_nll = group.sum(loss.sum_nll);
  if (!model.is_shared()) reduce_gradients(model.parameters(), group);
  return loss;
}

}  // namespace anneal
