// The memory of a training step on one device, by what takes it. Per token the formulas follow the tensors
// that the layers hold (models/attention_block.h, gated_mlp.h, moe_block.h, nn/linear.h); a test holds them
// against the allocations of real steps.
#pragma once
#include <string>
#include <vector>

#include "plan/model_shape.h"

namespace anneal {

// Master, gradient and two moments in float32.
inline constexpr std::int64_t kBytesOfATrainedWeight = 16;

// How a training runs, as far as memory goes.
struct StepSetup {
  std::int64_t compute_bytes;  // of an element: 2 or 4
  std::int64_t base_bytes;     // of a frozen weight as it is held
  bool is_gpu = false;         // norms and activations run as ATen operations, through float32
  bool maps_weights = false;   // frozen weights are pages of the files
  int ranks = 1;
  bool is_sharded = false;
  std::int64_t runtime_bytes = 0;  // libraries, their contexts and workspaces
};

// Of a frozen weight as it is held: --base_dtype (auto, bf16, fp32), or as stored, float16 becoming float32.
std::int64_t base_bytes(const ModelConfig& config, const std::string& base_dtype);

// The busiest micro-batch.
struct MicroBatch {
  std::int64_t tokens;
  std::int64_t kept_layers;  // the topmost ones, that keep their activations
};

struct StepMemory {
  std::int64_t weights = 0;  // as layers multiply with them; this device's part
  std::int64_t mapped = 0;   // of `weights`: pages of the files, that others may share
  std::int64_t adapter = 0;  // LoRA's weights, masters and compute copies
  std::int64_t masters = 0;  // float32 of --full_ft, where the compute copy is another tensor
  std::int64_t gradients = 0;
  std::int64_t optimizer = 0;    // two moments
  std::int64_t activations = 0;  // kept from forward to backward
  std::int64_t at_work = 0;      // what the busiest layer, or the head, needs besides
  std::int64_t gathered = 0;     // whole units of a sharded model, and their open gradients
  std::int64_t logits = 0;       // of one chunk
  std::int64_t runtime = 0;

  std::int64_t states() const { return weights + adapter + masters + gradients + optimizer; }
  std::int64_t total() const { return states() + activations + at_work + gathered + logits + runtime; }
  struct Part {
    const char* name;
    std::int64_t bytes;
  };
  std::vector<Part> parts() const;
};

StepMemory step_memory(const ModelShape& shape, const StepSetup& setup, const MicroBatch& batch);

// What one token's activations take in the layer that keeps most, and in one that recomputes.
std::int64_t kept_bytes_per_token(const ModelShape& shape, std::int64_t compute_bytes);
std::int64_t recomputed_bytes_per_token(const ModelShape& shape, std::int64_t compute_bytes);

// A chunk of the head's rows: as many as 160 MB of logits hold, from 16 to 256.
std::int64_t head_rows_of_chunk(std::int64_t vocab_size, std::int64_t compute_bytes);

// The copy of masters and moments that a processor's training makes to be saved while it goes on, where there
// is room for it.
std::int64_t saved_copy_bytes(const ModelShape& shape);

}  // namespace anneal
