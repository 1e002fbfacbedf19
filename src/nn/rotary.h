// Rotary position embedding (Su et al. 2021) in the half-split layout of Hugging Face: element i of a head is
// rotated with element i + F by the angle position * frequency_i. Elements from 2F on are left as they are.
// Shapes: N tokens, H heads, D head size, F frequencies.
#pragma once
#include <ATen/core/Tensor.h>

namespace anneal {

struct RopeTable {
  at::Tensor cos_NF, sin_NF;  // float32
};
RopeTable rope_table(const at::Tensor& positions_N, const at::Tensor& inverse_frequency_F,
                     double attention_factor = 1);

enum class Rotation { kForward, kInverse };

// Rotates in place; the inverse rotation is the gradient, also of a scaled table. x_NHD is contiguous.
void apply_rope(at::Tensor& x_NHD, const RopeTable& table, Rotation rotation);

namespace plain {  // the same in ATen operations
void apply_rope(at::Tensor& x_NHD, const RopeTable& table, Rotation rotation);
}

}  // namespace anneal
