// How a model's rotary position embedding turns, and how it is stretched to lengths beyond those that the
// model was trained on. Kinds, names and defaults are those of transformers.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace anneal {

struct RopeParameters {
  std::string kind = "default";  // linear, dynamic, yarn, longrope or llama3
  double theta = 10000;
  std::int64_t rotary_dim = 0;  // elements of each head that are rotated
  double factor = 1;
  double attention_factor = 1;  // of yarn and longrope: cos and sin are multiplied by it
  std::int64_t max_position_embeddings = 0;
  double original_max_position_embeddings = 0;  // of llama3, yarn and longrope

  double low_frequency_factor = 1, high_frequency_factor = 4;  // of llama3

  double beta_fast = 32, beta_slow = 1;  // of yarn
  bool truncate = true;

  std::vector<double> short_factor, long_factor;  // of longrope, one for each frequency

  // Whether a sample's frequencies depend on how long it is.
  bool depends_on_length() const { return kind == "dynamic" || kind == "longrope"; }
  // Up to how many tokens a sample may have: as many as the model has positions, or as they are stretched to.
  std::int64_t longest() const;
};

// What yarn and longrope multiply cos and sin by where the model does not say it.
double yarn_attention_factor(double factor, double mscale, double mscale_all_dim);
double longrope_attention_factor(double factor, double original_max_position_embeddings);

}  // namespace anneal
