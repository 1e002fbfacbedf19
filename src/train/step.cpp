#include "train/step.h"

#include <c10/core/InferenceMode.h>

#include "models/language_head.h"

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

double micro_batch(CausalLm& model, const TokenBatch& batch, const at::Tensor& row_keys,
                   std::int64_t kept_layers, double gradient_scale) {
  const auto num_layers = static_cast<std::int64_t>(model.layers.size());
  const auto rope = model.rope(batch);
  const LayerPass pass{rope, batch.segment_starts, {row_keys}};
  const auto lowest = lowest_trained_layer(model);

  std::vector<LayerActivations> activations(num_layers);
  auto x_NE = model.embed(batch);
  for (std::int64_t index = 0; index < num_layers; ++index) {
    const bool keeps = index >= num_layers - kept_layers && index >= lowest;
    const auto out_NE =
        model.layers[index].forward(model.config, x_NE, pass, keeps ? &activations[index] : nullptr);
    if (!keeps && index >= lowest) activations[index].input_NE = x_NE;
    x_NE = out_NE;
  }

  auto head = language_head(model, x_NE, batch, gradient_scale);
  double sum_nll = 0;
  for (const auto& loss : head.losses_M) sum_nll += loss.nll;
  x_NE.reset();

  auto& dx_NE = head.dx_NE;
  for (std::int64_t index = num_layers - 1; index >= std::max<std::int64_t>(lowest, 0); --index) {
    auto& kept = activations[index];
    if (!kept.holds_all()) model.layers[index].forward(model.config, at::Tensor(kept.input_NE), pass, &kept);
    model.layers[index].backward(model.config, dx_NE, kept, pass, /*wants_input_gradient=*/index > lowest);
  }
  if (lowest < 0) model.embed_backward(batch, dx_NE);
  return sum_nll;
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

StepLoss forward_backward(CausalLm& model, const std::vector<SampleView>& pool, const StepPlan& plan,
                          std::uint64_t seed, std::int64_t dropout_step) {
  const c10::InferenceMode no_autograd;
  StepLoss loss;
  std::vector<std::int64_t> lengths;
  for (const auto& sample : pool) {
    lengths.push_back(static_cast<std::int64_t>(sample.ids.size()));
    loss.tokens += lengths.back();
    loss.trained_tokens += trained_positions(sample);
  }
  if (loss.trained_tokens == 0) return loss;
  const auto starts = cut_pool(lengths, plan.micro_batch_tokens);
  for (std::size_t cut = 0; cut + 1 < starts.size(); ++cut) {
    const auto batch =
        make_token_batch(std::span(pool).subspan(starts[cut], starts[cut + 1] - starts[cut]), model.device);
    const auto keys = dropout_row_keys(batch, seed, dropout_step, static_cast<std::int64_t>(starts[cut]));
    loss.sum_nll +=
        micro_batch(model, batch, keys, plan.kept_layers, 1 / static_cast<double>(loss.trained_tokens));
  }
  return loss;
}

}  // namespace anneal
