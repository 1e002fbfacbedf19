// A decoder-only language model: weights mapped from a Hugging Face folder, what of it is trained, and the
// pieces that the step's schedule calls. Shapes: N tokens, E hidden size, V vocabulary.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "formats/safetensors.h"
#include "models/decoder_layer.h"
#include "models/model_options.h"
#include "models/sharded_unit.h"
#include "models/token_batch.h"
#include "nn/parameter.h"

namespace anneal {

struct Precision {
  at::ScalarType compute;              // float32 or bfloat16
  std::optional<at::ScalarType> base;  // of frozen weights; as stored where unset
};

// Resolves the options for a device.
Precision resolve_precision(const ModelOptions& options, at::Device device = at::kCPU);

// The tensor over a view's bytes: without a copy where dtype and alignment allow it. The file must outlive
// it.
at::Tensor tensor_of(const TensorView& view);
// The same of a tensor of the folder. Throws UserError(kModel) where it is missing, has another shape, or is
// quantized.
at::Tensor checked_tensor(const SafetensorsFolder& weights, const std::string& name,
                          const std::vector<std::int64_t>& shape);
DType dtype_of(at::ScalarType type);

// Whether frozen weights are held in their dtype from the start, or stay mapped as they are in the files
// until share() takes this rank's part of them.
enum class Loading { kWhole, kToBeShared };

class CausalLm {
 public:
  // Throws UserError(kModel) that names tensor and file for what is missing or has the wrong shape. On the
  // meta device config.json is enough: tensors have shapes and no values.
  CausalLm(const std::filesystem::path& folder, const Precision& precision, at::Device device = at::kCPU,
           Loading loading = Loading::kWhole);

  ModelConfig config;
  Precision precision;
  at::Device device;  // of every tensor of the model, and of the batches that it takes
  std::filesystem::path folder;
  at::Tensor embedding_VE;
  Parameter* embedding_parameter = nullptr;
  std::vector<DecoderLayer> layers;
  NormWeight norm;
  Linear lm_head;                // weight undefined where the embedding is tied
  at::Tensor inverse_frequency;  // of samples up to the length that the model was trained on

  // All that is trained, in the order of the model.
  std::vector<std::unique_ptr<Parameter>> full_parameters;  // of --full_ft
  std::vector<Parameter*> parameters() const;

  // Makes every weight of the model a trained parameter.
  void train_all_weights();

  const at::Tensor& head_weight_VE() const {
    return config.tie_word_embeddings ? embedding_VE : lm_head.weight_OI;
  }
  Parameter* head_parameter() const {
    return config.tie_word_embeddings ? embedding_parameter : lm_head.weight_parameter;
  }

  // FULL_SHARD over the ranks of `group`, of a model that was loaded for it; after adapters and parameters
  // are there. From now on a unit's weights must be gathered for as long as they are used.
  void share(ProcessGroup& group);
  bool is_shared() const { return !units_.empty(); }
  // None where the model is not shared.
  ShardedUnit* embedding_unit() const { return unit(0); }
  ShardedUnit* layer_unit(std::int64_t index) const { return unit(index + 1); }
  ShardedUnit* head_unit() const { return unit(static_cast<std::int64_t>(layers.size()) + 1); }
  // What the head needs besides: the embedding, where they are one.
  ShardedUnit* tied_head_unit() const { return config.tie_word_embeddings ? embedding_unit() : nullptr; }

  void for_each_unit(const std::function<void(ShardedUnit&)>& visit) const {
    for (const auto& unit : units_) visit(*unit);
  }

  // For inference alone: packs all linear layers, adapters with them, and the head.
  void pack();
  const PackedLinear& packed_head() const { return *packed_head_; }
  bool is_packed() const { return packed_head_ != nullptr; }

  // Every linear layer of the decoder layers that an adapter may go to: all but the routers of experts.
  void for_each_linear(const std::function<void(Linear&)>& visit);
  std::int64_t num_parameters() const;  // of the base model

  // The hidden states that the first layer takes.
  at::Tensor embed(const TokenBatch& batch) const;
  void embed_backward(const TokenBatch& batch, const at::Tensor& dx_NE);
  RopeTable rope(const TokenBatch& batch) const;
  // The same of rows whose samples are not laid out as in a batch: `rows` of them follow one another in a
  // sample of `length` tokens.
  struct LengthSpan {
    std::int64_t rows, length;
  };
  RopeTable rope(const at::Tensor& positions_N, std::span<const LengthSpan> spans) const;

  // The dtype that weights have in the folder: what full fine-tuning is saved in.
  at::ScalarType stored_dtype() const { return stored_dtype_; }

 private:
  ShardedUnit* unit(std::int64_t index) const { return is_shared() ? units_[index].get() : nullptr; }
  at::ScalarType held_type(at::ScalarType stored) const;
  at::Tensor stored_tensor(const std::string& name, const std::vector<std::int64_t>& shape) const;
  at::Tensor load_frozen(const std::string& name, const std::vector<std::int64_t>& shape);
  NormWeight load_norm(const std::string& name, std::int64_t width);
  Linear load_linear(const std::string& name, std::int64_t out_features, std::int64_t in_features,
                     bool has_bias = false);
  AttentionBlock load_attention(const std::string& prefix, std::int64_t index);
  GatedMlp load_mlp(const std::string& prefix);
  MoeBlock load_experts(const std::string& prefix);
  DecoderLayer load_layer(std::int64_t index);
  void train_linear(Linear& linear);
  void train_norm(NormWeight& norm);
  Parameter* add_parameter(const std::string& name, const at::Tensor& initial, at::ScalarType compute);

  std::unique_ptr<SafetensorsFolder> weights_;
  Loading loading_;
  std::vector<std::unique_ptr<ShardedUnit>> units_;  // embedding, layers, head
  std::unique_ptr<PackedLinear> packed_head_;
  at::ScalarType stored_dtype_ = at::kFloat;
};

// The hidden states after the last layer. run(index, x_NE) runs a layer; its weights are gathered for it, and
// those of the next one meanwhile.
at::Tensor run_layers(const CausalLm& model, const TokenBatch& batch,
                      const std::function<at::Tensor(std::int64_t, const at::Tensor&)>& run);
// The same without keeping anything for a backward pass.
at::Tensor run_layers(const CausalLm& model, const TokenBatch& batch);

}  // namespace anneal
