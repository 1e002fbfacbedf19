// Numbers that the self-test computes with.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "base/random.h"

namespace anneal {

// Uniform in (-1, 1), a function of the key; float32, of the processor.
inline at::Tensor random_values(at::IntArrayRef sizes, std::uint64_t key) {
  auto values = at::empty(sizes, at::kFloat);
  auto* to = values.mutable_data_ptr<float>();
  for (std::int64_t at = 0; at < values.numel(); ++at)
    to[at] = static_cast<float>(2 * to_unit_interval(mix(key, at)) - 1);
  return values;
}

}  // namespace anneal
