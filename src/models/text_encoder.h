// A text encoder of the BERT family: token ids to the hidden states after one of its layers. Inference only.
// Shapes: N tokens, E hidden size, V vocabulary, P positions, F intermediate size.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "models/text_encoder_config.h"
#include "nn/attention.h"

namespace anneal {

class TextEncoder {
 public:
  // Loads the first `layers` layers and multiplies in `compute` (float32 or bfloat16). Names of tensors may
  // have the prefix that a model with a head gives them ("bert."). Throws UserError(kModel).
  TextEncoder(const std::filesystem::path& folder, std::int64_t layers, at::ScalarType compute);

  const TextEncoderConfig& config() const { return config_; }

  // The hidden states of all texts, laid end to end, in float32. Each text has 1 to config().max_tokens()
  // ids, all below config().vocab_size.
  at::Tensor encode(std::span<const std::span<const std::int32_t>> texts) const;

 private:
  struct Affine {
    at::Tensor weight, bias;
  };
  struct Layer {
    Affine query, key, value, attention_output, attention_norm, up, down, output_norm;
  };
  struct Input {
    at::Tensor ids_N, positions_N;
    std::vector<std::int64_t> segment_starts;
  };

  at::Tensor load(const std::string& name, const std::vector<std::int64_t>& shape, at::ScalarType type) const;
  Affine load_linear(const std::string& name, std::int64_t out_features, std::int64_t in_features) const;
  Affine load_norm(const std::string& name) const;
  Layer load_layer(std::int64_t index) const;
  Input input_of(std::span<const std::span<const std::int32_t>> texts) const;
  at::Tensor embed(const Input& input) const;
  at::Tensor forward(const Layer& layer, const at::Tensor& x_NE,
                     SegmentStarts segment_starts) const;  // float32
  at::Tensor norm(const at::Tensor& x_NE, const Affine& affine) const;

  TextEncoderConfig config_;
  std::unique_ptr<SafetensorsFolder> weights_;
  at::ScalarType compute_;
  std::string prefix_;  // of all tensors of the folder
  at::Tensor embedding_VE_, position_embedding_PE_, token_type_E_;
  Affine embedding_norm_;
  std::vector<Layer> layers_;
};

}  // namespace anneal
