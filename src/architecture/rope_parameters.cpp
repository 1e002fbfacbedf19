#include "architecture/rope_parameters.h"

#include <algorithm>
#include <cmath>

namespace anneal {

double yarn_attention_factor(double factor, double mscale, double mscale_all_dim) {
  const auto scale = [&](double m) { return factor <= 1 ? 1 : 0.1 * m * std::log(factor) + 1; };
  return mscale != 0 && mscale_all_dim != 0 ? scale(mscale) / scale(mscale_all_dim) : scale(1);
}

double longrope_attention_factor(double factor, double original_max_position_embeddings) {
  return factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original_max_position_embeddings));
}

std::int64_t RopeParameters::longest() const {
  auto positions = static_cast<double>(max_position_embeddings);
  if (kind == "linear" || kind == "dynamic") positions *= factor;
  if (kind == "yarn") positions = std::max(positions, original_max_position_embeddings * factor);
  return static_cast<std::int64_t>(positions);
}

}  // namespace anneal
