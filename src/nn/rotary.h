// Rotary position embedding (Su et al. 2021) in the half-split layout of Hugging Face: element i of a head is
// rotated with element i + F by the angle position * frequency_i.
// Shapes: N tokens, H heads, D head size, F = D / 2 frequencies.
#pragma once
#include <ATen/core/Tensor.h>

namespace anneal {

// How the frequencies are made. `kind` is "default" or "llama3"; the other members are of llama3 alone.
struct RopeScaling {
  std::string kind = "default";
  double factor = 1;
  double low_frequency_factor = 1;
  double high_frequency_factor = 4;
  double original_max_position_embeddings = 8192;
};

// inverse_frequency_F, float32, in the order of float32 operations that transformers uses.
at::Tensor rope_frequencies(std::int64_t head_dim, double theta, const RopeScaling& scaling);

struct RopeTable {
  at::Tensor cos_NF, sin_NF;  // float32
};
RopeTable rope_table(const at::Tensor& positions_N, const at::Tensor& inverse_frequency_F);

enum class Rotation { kForward, kInverse };

// Rotates in place; the inverse rotation is the gradient. x_NHD is contiguous.
void apply_rope(at::Tensor& x_NHD, const RopeTable& table, Rotation rotation);

namespace plain {  // the same in ATen operations
void apply_rope(at::Tensor& x_NHD, const RopeTable& table, Rotation rotation);
}

}  // namespace anneal
