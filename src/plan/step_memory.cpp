#include "plan/step_memory.h"

#include <algorithm>

namespace anneal {
namespace {

constexpr std::int64_t kFloat = 4;
constexpr std::int64_t kIndex = 8;  // int64

// Values that a layer keeps of a token, and bytes beside them.
struct PerToken {
  std::int64_t values = 0, bytes = 0;
  std::int64_t total(std::int64_t compute_bytes) const { return values * compute_bytes + bytes; }
};

// What an adapter keeps: A drop(x), and of DoRA the output before its magnitude.
std::int64_t kept_by_adapter(const LinearShape& linear) {
  const auto values = linear.rank + (linear.has_magnitude ? linear.out_features : 0);
  return static_cast<std::int64_t>(linear.share_of_tokens * static_cast<double>(linear.copies) *
                                   static_cast<double>(values));
}

std::int64_t wide_of(const LayerShape& layer) { return layer.mlp_output.in_features; }

PerToken kept_of(const ModelConfig& c, const LayerShape& layer) {
  PerToken kept;
  // Input and what attention gave; queries, keys, values, and what was attended to; gate and up.
  kept.values = 2 * c.hidden_size + 2 * c.q_width() + 2 * c.kv_width();
  const auto choices = layer.experts_per_token;
  if (choices > 0) {
    kept.values += choices * (2 * wide_of(layer) + c.hidden_size);
    // Probabilities; weights, experts, row, index and place of each choice.
    kept.bytes += layer.experts * kFloat + choices * (kFloat + 4 * kIndex);
  } else {
    kept.values += 2 * wide_of(layer);
  }
  layer.for_each_linear([&](const LinearShape& linear) { kept.values += kept_by_adapter(linear); });
  kept.bytes += c.num_attention_heads * kFloat;  // log-sum-exp
  return kept;
}

// Whether what is dropped of an input's gradient is there as a tensor: the processor's kernels for bfloat16
// drop it on its way to the sum (nn/block_gemm.h), but for DoRA.
bool holds_dropped(const ModelShape& shape, const LinearShape& linear, const StepSetup& setup) {
  if (linear.rank == 0 || shape.lora_dropout == 0) return false;
  return setup.is_gpu || setup.compute_bytes == kFloat || linear.has_magnitude;
}

// Backward through the MLP, beyond what is kept and the gradient that comes in: values of a token.
std::int64_t mlp_values_at_work(const ModelShape& shape, const LayerShape& layer, const StepSetup& setup) {
  const auto hidden = shape.config.hidden_size, wide = wide_of(layer);
  const auto& up = layer.mlp_inputs.front();
  // The normed input; the activation, its gradient, and that of the dropped activation.
  const auto down = hidden + 2 * wide + (holds_dropped(shape, layer.mlp_output, setup) ? wide : 0);
  // The gradient of the activation stays; that of the input, and what is dropped of it.
  const auto inputs = hidden + wide + hidden + (holds_dropped(shape, up, setup) ? hidden : 0);
  // Both gradients in one tensor, while they are there apart.
  const auto fused = layer.mlp_inputs.size() == 1 ? hidden + wide + 2 * wide : 0;
  return std::max({down, inputs, fused});
}

// The same of attention; the MLP's activations are gone by then.
std::int64_t attention_values_at_work(const ModelShape& shape, const LayerShape& layer,
                                      const StepSetup& setup) {
  const auto& c = shape.config;
  const auto hidden = c.hidden_size, q = c.q_width(), kv = c.kv_width();
  const auto rotated = c.has_qk_norm ? q + kv : 0;
  const auto gradients = q + q + 2 * kv;  // of what was attended to, of queries, keys and values
  const auto inputs = hidden + (holds_dropped(shape, layer.attention_inputs.front(), setup) ? hidden : 0);
  const auto fused = layer.attention_inputs.size() == 1 ? q + 2 * kv : 0;
  return hidden + gradients + std::max({rotated, inputs, fused}) -
         (layer.experts_per_token > 0 ? 0 : 2 * wide_of(layer));
}

// Rows in the order of experts: inputs, gradients of outputs, weighted ones and of inputs; and their sums in
// float32.
std::int64_t expert_bytes_at_work(const ModelShape& shape, const LayerShape& layer, std::int64_t compute) {
  const auto rows = layer.experts_per_token * shape.config.hidden_size;
  return rows * (4 * compute + 2 * kFloat);
}

// ATen forms of the activation's gradient hold float32: of d, g, s, products and results.
std::int64_t float_bytes_at_work(const LayerShape& layer) {
  constexpr std::int64_t kFloats = 6;
  return kFloats * kFloat * std::max<std::int64_t>(1, layer.experts_per_token) * wide_of(layer);
}

std::int64_t layer_bytes_at_work(const ModelShape& shape, const LayerShape& layer, const StepSetup& setup) {
  const auto compute = setup.compute_bytes;
  auto mlp = layer.experts_per_token > 0 ? expert_bytes_at_work(shape, layer, compute)
                                         : mlp_values_at_work(shape, layer, setup) * compute;
  if (setup.is_gpu) mlp += float_bytes_at_work(layer);
  return std::max(mlp, attention_values_at_work(shape, layer, setup) * compute);
}

std::int64_t largest_matrix(const ModelShape& shape) {
  std::int64_t largest = 0;
  for (const auto& layer : shape.layers)
    layer.for_each_linear([&](const LinearShape& linear) { largest = std::max(largest, linear.weights()); });
  return largest;
}

// Ids, positions, dropout keys, targets, rows and losses of the batch; the angles of its positions.
std::int64_t batch_bytes_per_token(const ModelConfig& c) {
  return 5 * kIndex + kIndex + 1 + c.rope.rotary_dim * kFloat;
}

// The largest layer, and the embedding or head, of a sharded model: whole while they are used.
struct Unit {
  std::int64_t frozen = 0, trained = 0;  // elements
};

Unit largest_layer(const ModelShape& shape) {
  Unit largest;
  for (const auto& layer : shape.layers) {
    const auto base = layer.base_parameters(), adapter = layer.adapter_parameters();
    const Unit unit = shape.trains_all ? Unit{0, base} : Unit{base, adapter};
    if (unit.frozen + unit.trained > largest.frozen + largest.trained) largest = unit;
  }
  return largest;
}

// Two layers, one of them on its way, with the gradients of one, and those of the unit before it, whose sum
// over ranks is under way (on CPUs beside what the others sent); or the head and the layer below it.
std::int64_t gathered_bytes(const ModelShape& shape, const StepSetup& setup) {
  if (!setup.is_sharded) return 0;
  const auto whole = [&](const Unit& unit) {
    return unit.frozen * setup.base_bytes + unit.trained * setup.compute_bytes;
  };
  const auto layer = largest_layer(shape);
  const auto embedding = shape.embedding_parameters();
  const Unit head = shape.trains_all ? Unit{0, embedding} : Unit{embedding, 0};
  const auto sent = whole(layer) / setup.ranks;
  const auto summed = std::max(layer.trained, head.trained) * kFloat * (setup.is_gpu ? 1 : 2);
  return std::max(2 * whole(layer) + sent + layer.trained * kFloat + summed,
                  whole(head) + head.trained * kFloat + whole(layer) + sent);
}

void set_states(const ModelShape& shape, const StepSetup& setup, StepMemory& memory) {
  const auto parts = setup.is_sharded ? setup.ranks : 1;
  const auto base = shape.base_parameters(), trained = shape.trained_parameters();
  // Of a sharded model the copies that layers multiply with are made when they are gathered.
  const auto copies = setup.is_sharded || setup.compute_bytes == kFloat ? 0 : setup.compute_bytes;
  if (shape.trains_all) {
    memory.masters = base * kFloat / parts;
    memory.weights = base * copies;
  } else {
    memory.weights = base * setup.base_bytes / parts;
    if (setup.maps_weights && !setup.is_sharded) memory.mapped = memory.weights;
    memory.adapter = trained * (kFloat + copies) / parts;
  }
  memory.gradients = trained * kFloat / parts;
  memory.optimizer = trained * 2 * kFloat / parts;
}

}  // namespace

std::int64_t base_bytes(const ModelConfig& config, const std::string& base_dtype) {
  if (base_dtype == "auto") return config.dtype == "bfloat16" ? 2 : 4;
  return base_dtype == "bf16" ? 2 : 4;
}

std::vector<StepMemory::Part> StepMemory::parts() const {
  return {{"weights", weights},         {"LoRA", adapter},
          {"float32 masters", masters}, {"gradients", gradients},
          {"optimizer", optimizer},     {"activations", activations},
          {"layer at work", at_work},   {"gathered layers", gathered},
          {"logits", logits},           {"runtime", runtime}};
}

std::int64_t kept_bytes_per_token(const ModelShape& shape, std::int64_t compute_bytes) {
  std::int64_t most = 0;
  for (const auto& layer : shape.layers)
    most = std::max(most, kept_of(shape.config, layer).total(compute_bytes));
  return most;
}

std::int64_t recomputed_bytes_per_token(const ModelShape& shape, std::int64_t compute_bytes) {
  return shape.config.hidden_size * compute_bytes;
}

std::int64_t head_rows_of_chunk(std::int64_t vocab_size, std::int64_t compute_bytes) {
  constexpr std::int64_t kLogitBytes = 160 << 20;  // of one chunk, at the most
  constexpr std::int64_t kLargestChunkRows = 256;  // more rows make the products no faster
  return std::clamp<std::int64_t>(kLogitBytes / (vocab_size * compute_bytes), 16, kLargestChunkRows);
}

std::int64_t saved_copy_bytes(const ModelShape& shape) { return shape.trained_parameters() * 3 * kFloat; }

StepMemory step_memory(const ModelShape& shape, const StepSetup& setup, const MicroBatch& batch) {
  const auto& c = shape.config;
  const auto compute = setup.compute_bytes, tokens = batch.tokens;
  const auto num_layers = c.num_hidden_layers;
  StepMemory memory;
  set_states(shape, setup, memory);
  memory.runtime = setup.runtime_bytes;

  // Where none is kept, one at a time is while it runs again.
  const auto kept = std::clamp<std::int64_t>(batch.kept_layers, 1, num_layers);
  std::int64_t layer_work = 0;
  for (std::int64_t index = 0; index < num_layers; ++index) {
    const auto& layer = shape.layers[index];
    memory.activations += tokens * (index < num_layers - kept ? recomputed_bytes_per_token(shape, compute)
                                                              : kept_of(c, layer).total(compute));
    layer_work = std::max(layer_work, layer_bytes_at_work(shape, layer, setup));
  }
  memory.activations += tokens * (c.hidden_size * compute + batch_bytes_per_token(c));  // and dx

  // A weight in another dtype than the computation's is converted for as long as it is used; a trained one
  // has its gradient made apart before that is added.
  const bool converts = !shape.trains_all && setup.base_bytes != compute;
  const auto matrix = converts || shape.trains_all ? largest_matrix(shape) * compute : 0;
  const auto head_matrix = converts || shape.trains_all ? shape.embedding_parameters() * compute : 0;
  const auto rows = std::min(tokens, head_rows_of_chunk(c.vocab_size, compute));
  memory.logits = rows * c.vocab_size * compute;
  // The head has the last layer's output, and of trained rows three tensors; then the gradient of the norm's
  // weight, through three tensors of float32, or that of the output. Its layer keeps nothing if it
  // recomputes.
  const auto wide = tokens * c.hidden_size;
  const auto head_work =
      3 * wide * compute + std::max({head_matrix, wide * compute, shape.trains_all ? wide * 3 * kFloat : 0}) -
      (batch.kept_layers > 0
           ? 0
           : tokens * (kept_bytes_per_token(shape, compute) - recomputed_bytes_per_token(shape, compute)));
  memory.at_work = std::max<std::int64_t>({0, tokens * layer_work + matrix - memory.logits, head_work});
  memory.gathered = gathered_bytes(shape, setup);
  return memory;
}

}  // namespace anneal
