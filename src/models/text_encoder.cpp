#include "models/text_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/layer_norm.h>

#include <cmath>

#include "base/error.h"
#include "models/causal_lm.h"
#include "nn/dense.h"

namespace anneal {
namespace {

// Where a family keeps the tensors of a layer, below `layers` and the layer's number.
struct LayerNames {
  const char *layers, *query, *key, *value, *attention_output, *attention_norm, *up, *down, *output_norm;
};
constexpr LayerNames kBertNames{
    "encoder.layer.",       "attention.self.query",   "attention.self.key",
    "attention.self.value", "attention.output.dense", "attention.output.LayerNorm",
    "intermediate.dense",   "output.dense",           "output.LayerNorm"};
constexpr LayerNames kDistilBertNames{"transformer.layer.", "attention.q_lin",   "attention.k_lin",
                                      "attention.v_lin",    "attention.out_lin", "sa_layer_norm",
                                      "ffn.lin1",           "ffn.lin2",          "output_layer_norm"};

constexpr const char* kWordEmbedding = "embeddings.word_embeddings.weight";

}  // namespace

TextEncoder::TextEncoder(const std::filesystem::path& folder, std::int64_t layers, at::ScalarType compute)
    : config_(read_text_encoder_config(folder)),
      weights_(std::make_unique<SafetensorsFolder>(folder)),
      compute_(compute) {
  if (!weights_->contains(kWordEmbedding)) prefix_ = config_.model_type + ".";
  const auto width = config_.hidden_size;
  embedding_VE_ = load(kWordEmbedding, {config_.vocab_size, width}, at::kFloat);
  position_embedding_PE_ =
      load("embeddings.position_embeddings.weight", {config_.max_position_embeddings, width}, at::kFloat);
  if (config_.type_vocab_size > 0)  // one text alone has the first type throughout
    token_type_E_ =
        load("embeddings.token_type_embeddings.weight", {config_.type_vocab_size, width}, at::kFloat)[0];
  embedding_norm_ = load_norm("embeddings.LayerNorm");
  for (std::int64_t index = 0; index < layers; ++index) layers_.push_back(load_layer(index));
}

at::Tensor TextEncoder::load(const std::string& name, const std::vector<std::int64_t>& shape,
                             at::ScalarType type) const {
  return checked_tensor(*weights_, prefix_ + name, shape).to(type);
}

TextEncoder::Affine TextEncoder::load_linear(const std::string& name, std::int64_t out_features,
                                             std::int64_t in_features) const {
  return {load(name + ".weight", {out_features, in_features}, compute_),
          load(name + ".bias", {out_features}, compute_)};
}

// Files that came from TensorFlow call weight and bias gamma and beta.
TextEncoder::Affine TextEncoder::load_norm(const std::string& name) const {
  const bool is_old = weights_->contains(prefix_ + name + ".gamma");
  return {load(name + (is_old ? ".gamma" : ".weight"), {config_.hidden_size}, at::kFloat),
          load(name + (is_old ? ".beta" : ".bias"), {config_.hidden_size}, at::kFloat)};
}

TextEncoder::Layer TextEncoder::load_layer(std::int64_t index) const {
  const auto& names = config_.model_type == "distilbert" ? kDistilBertNames : kBertNames;
  const auto at = names.layers + std::to_string(index) + ".";
  const auto width = config_.hidden_size, wide = config_.intermediate_size;
  return {load_linear(at + names.query, width, width), load_linear(at + names.key, width, width),
          load_linear(at + names.value, width, width), load_linear(at + names.attention_output, width, width),
          load_norm(at + names.attention_norm),        load_linear(at + names.up, wide, width),
          load_linear(at + names.down, width, wide),   load_norm(at + names.output_norm)};
}

TextEncoder::Input TextEncoder::input_of(std::span<const std::span<const std::int32_t>> texts) const {
  Input input{{}, {}, {0}};
  for (const auto& text : texts)
    input.segment_starts.push_back(input.segment_starts.back() + static_cast<std::int64_t>(text.size()));
  input.ids_N = at::empty({input.segment_starts.back()}, at::kLong);
  input.positions_N = at::empty_like(input.ids_N);
  auto* ids = input.ids_N.mutable_data_ptr<std::int64_t>();
  auto* positions = input.positions_N.mutable_data_ptr<std::int64_t>();
  for (const auto& text : texts) {
    // As in transformers, a padding token in the text has the position of padding and is not counted.
    std::int64_t next = config_.padding_id + 1;
    for (const std::int64_t id : text) {
      *ids++ = id;
      *positions++ = id == config_.padding_id ? id : next++;
    }
  }
  return input;
}

at::Tensor TextEncoder::norm(const at::Tensor& x_NE, const Affine& affine) const {
  return at::layer_norm(x_NE, {config_.hidden_size}, affine.weight, affine.bias, config_.layer_norm_eps);
}

at::Tensor TextEncoder::embed(const Input& input) const {
  auto x_NE = at::embedding(embedding_VE_, input.ids_N);
  if (token_type_E_.defined()) x_NE.add_(token_type_E_);
  x_NE.add_(at::embedding(position_embedding_PE_, input.positions_N));
  return norm(x_NE, embedding_norm_);
}

at::Tensor TextEncoder::forward(const Layer& layer, const at::Tensor& x_NE,
                                SegmentStarts segment_starts) const {
  const auto tokens = x_NE.size(0), heads = config_.num_attention_heads;
  const auto head_dim = config_.hidden_size / heads;
  const auto apply = [this](const Affine& affine, const at::Tensor& input, Activation activation) {
    return dense(input.to(compute_), affine.weight, affine.bias, activation);
  };
  const auto head_inputs = x_NE.to(compute_);
  const auto project = [&](const Affine& affine) {
    return apply(affine, head_inputs, Activation::kNone).view({tokens, heads, head_dim});
  };
  const auto attended_NHD =
      attention(project(layer.query), project(layer.key), project(layer.value), segment_starts,
                1 / std::sqrt(static_cast<double>(head_dim)), kReachesAll)
          .out_NHD;
  // Sums and norms stay in float32: rounding them too would cost bf16 half of its accuracy.
  const auto mixed_NE =
      norm(x_NE + apply(layer.attention_output, attended_NHD.view({tokens, -1}), Activation::kNone),
           layer.attention_norm);
  const auto activation_NF = apply(layer.up, mixed_NE, Activation::kGelu);
  return norm(mixed_NE + apply(layer.down, activation_NF, Activation::kNone), layer.output_norm);
}

at::Tensor TextEncoder::encode(std::span<const std::span<const std::int32_t>> texts) const {
  const auto input = input_of(texts);
  auto x_NE = embed(input);
  for (const auto& layer : layers_) x_NE = forward(layer, x_NE, input.segment_starts);
  return x_NE;
}

}  // namespace anneal
