#include "plan/flops.h"

namespace anneal {
namespace {

double pairs_of(std::int64_t tokens) {
  const auto length = static_cast<double>(tokens);
  return length * (length + 1) / 2;
}

// Two products a pair of positions.
double forward_flops_per_pair(const ModelConfig& c) { return 4 * static_cast<double>(c.q_width()); }

}  // namespace

double FlopRates::of_sample(std::int64_t tokens, std::int64_t trained) const {
  return static_cast<double>(tokens) * per_token + pairs_of(tokens) * per_pair +
         static_cast<double>(trained) * per_trained;
}

FlopRates flop_rates(const ModelShape& shape) {
  FlopRates rates{};
  const double of_a_weight = shape.trains_all ? 6 : 4;
  for (const auto& layer : shape.layers) {
    layer.for_each_linear([&](const LinearShape& linear) {
      const auto weights = static_cast<double>(linear.weights());
      double operations = of_a_weight * weights;
      // DoRA multiplies what is dropped with the weight as well.
      if (linear.has_magnitude && shape.lora_dropout > 0) operations += 4 * weights;
      operations += 6.0 * static_cast<double>(linear.rank * (linear.in_features + linear.out_features));
      rates.per_token += operations * linear.share_of_tokens * static_cast<double>(linear.copies);
    });
    rates.per_token += 4.0 * static_cast<double>(layer.router_weights);
  }
  const auto& c = shape.config;
  // Backward takes twice what forward does.
  rates.per_pair = 3 * forward_flops_per_pair(c) * static_cast<double>(c.num_hidden_layers);
  rates.per_trained = of_a_weight * static_cast<double>(shape.embedding_parameters());
  return rates;
}

double recomputed_flops(const ModelShape& shape, std::int64_t tokens, std::int64_t recomputed_layers) {
  double flops = 0;
  for (std::int64_t index = 0; index < recomputed_layers; ++index) {
    double per_token = 2.0 * static_cast<double>(shape.layers[index].router_weights);
    shape.layers[index].for_each_linear([&](const LinearShape& linear) {
      const auto multiplied = linear.weights() + linear.rank * (linear.in_features + linear.out_features);
      per_token += 2.0 * static_cast<double>(multiplied * linear.copies) * linear.share_of_tokens;
    });
    flops +=
        per_token * static_cast<double>(tokens) + pairs_of(tokens) * forward_flops_per_pair(shape.config);
  }
  return flops;
}

}  // namespace anneal
