#include "models/flops.h"

namespace anneal {

double needed_flops(const CausalLm& model, const std::vector<SampleView>& pool) {
  double tokens = 0, trained = 0, attended = 0;
  for (const auto& sample : pool) {
    const auto length = static_cast<double>(sample.ids.size());
    tokens += length;
    trained += static_cast<double>(trained_positions(sample));
    attended += length * (length + 1) / 2;
  }
  double per_token = 0;
  for (const auto& layer : model.layers) {
    layer.for_each_linear([&](const Linear& linear) {
      const auto weights = static_cast<double>(linear.weight_OI.numel());
      double operations = (linear.weight_parameter ? 6.0 : 4.0) * weights;
      // DoRA multiplies what is dropped with the weight as well.
      if (linear.has_magnitude() && linear.lora->dropout > 0) operations += 4 * weights;
      if (linear.lora)
        operations += 6.0 * static_cast<double>(linear.lora->a_RI.numel() + linear.lora->b_OR.numel());
      per_token += operations * linear.share_of_tokens;
    });
    if (layer.moe) per_token += 4.0 * static_cast<double>(layer.moe->router.weight_OI.numel());
  }
  const auto& c = model.config;
  // Two products a pair of positions forward, and twice as much backward.
  const double per_pair =
      3.0 * 4 * static_cast<double>(c.num_attention_heads * c.head_dim * c.num_hidden_layers);
  const double head =
      (model.head_parameter() ? 6.0 : 4.0) * static_cast<double>(c.vocab_size * c.hidden_size);
  return tokens * per_token + attended * per_pair + trained * head;
}

}  // namespace anneal
