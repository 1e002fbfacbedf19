#include "models/causal_lm.h"

#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "device/device.h"

namespace anneal {
namespace {

struct DTypePair {
  DType file;
  at::ScalarType tensor;
};
constexpr DTypePair kDTypePairs[] = {{DType::kFloat32, at::kFloat},     {DType::kFloat16, at::kHalf},
                                     {DType::kBFloat16, at::kBFloat16}, {DType::kInt64, at::kLong},
                                     {DType::kInt32, at::kInt},         {DType::kUInt8, at::kByte},
                                     {DType::kBool, at::kBool}};

at::ScalarType scalar_type(DType dtype) {
  const auto is_it = [&](const DTypePair& pair) { return pair.file == dtype; };
  return std::find_if(std::begin(kDTypePairs), std::end(kDTypePairs), is_it)->tensor;
}

// As config.json writes it.
at::ScalarType dtype_named(const std::string& name) {
  return name == "bfloat16" ? at::kBFloat16 : name == "float16" ? at::kHalf : at::kFloat;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const auto size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

}  // namespace

Precision resolve_precision(const ModelOptions& options, at::Device device) {
  Precision precision{at::kFloat, std::nullopt};
  if (options.compute_dtype == "bf16") precision.compute = at::kBFloat16;
  if (options.compute_dtype == "auto" && multiplies_bf16(device)) precision.compute = at::kBFloat16;
  if (options.base_dtype == "bf16") precision.base = at::kBFloat16;
  if (options.base_dtype == "fp32") precision.base = at::kFloat;
  return precision;
}

at::Tensor tensor_of(const TensorView& view) {
  const auto tensor = at::from_blob(const_cast<std::byte*>(view.bytes.data()), view.shape,
                                    at::TensorOptions().dtype(scalar_type(view.dtype)));
  // Kernels may load aligned elements; a file may hold tensors at any byte.
  const bool aligned =
      reinterpret_cast<std::uintptr_t>(view.bytes.data()) % bytes_per_element(view.dtype) == 0;
  return aligned ? tensor : tensor.clone();
}

DType dtype_of(at::ScalarType type) {
  const auto is_it = [&](const DTypePair& pair) { return pair.tensor == type; };
  const auto* found = std::find_if(std::begin(kDTypePairs), std::end(kDTypePairs), is_it);
  TORCH_CHECK(found != std::end(kDTypePairs), "files have no dtype for ", type);
  return found->file;
}

at::Tensor checked_tensor(const SafetensorsFolder& weights, const std::string& name,
                          const std::vector<std::int64_t>& shape) {
  const auto& view = weights.tensor(name);
  if (view.shape != shape)
    fail(ExitCode::kModel,
         "tensor '" + name + "' has the shape " + shape_text(view.shape) + ", config.json wants " +
             shape_text(shape),
         weights.file_of(name), "use weights and config.json of the same model");
  const auto tensor = tensor_of(view);
  if (!tensor.is_floating_point())
    fail(ExitCode::kModel, "tensor '" + name + "' is of dtype " + std::string(dtype_name(view.dtype)),
         weights.file_of(name), "use unquantized weights");
  return tensor;
}

CausalLm::CausalLm(const std::filesystem::path& model_folder, const Precision& model_precision,
                   at::Device model_device, Loading loading)
    : config(read_model_config(model_folder)),
      precision(model_precision),
      device(model_device),
      folder(model_folder),
      loading_(loading) {
  if (!device.is_meta()) weights_ = std::make_unique<SafetensorsFolder>(model_folder);
  stored_dtype_ =
      stored_tensor("model.embed_tokens.weight", {config.vocab_size, config.hidden_size}).scalar_type();
  if (stored_dtype_ == at::kHalf) stored_dtype_ = at::kFloat;
  embedding_VE = load_frozen("model.embed_tokens.weight", {config.vocab_size, config.hidden_size});
  for (std::int64_t index = 0; index < config.num_hidden_layers; ++index) layers.push_back(load_layer(index));
  norm = load_norm("model.norm", config.hidden_size);
  lm_head.name = "lm_head";
  if (!config.tie_word_embeddings) lm_head = load_linear("lm_head", config.vocab_size, config.hidden_size);
  // The same bits on all devices.
  inverse_frequency = rope_frequencies(config.head_dim, config.rope_theta, config.rope_scaling).to(device);
}

at::Tensor CausalLm::stored_tensor(const std::string& name, const std::vector<std::int64_t>& shape) const {
  if (device.is_meta()) return at::empty(shape, at::TensorOptions(device).dtype(dtype_named(config.dtype)));
  return checked_tensor(*weights_, name, shape);
}

at::ScalarType CausalLm::held_type(at::ScalarType stored) const {
  return precision.base.value_or(stored == at::kHalf ? at::kFloat : stored);
}

at::Tensor CausalLm::load_frozen(const std::string& name, const std::vector<std::int64_t>& shape) {
  const auto tensor = stored_tensor(name, shape);
  return loading_ == Loading::kWhole ? tensor.to(device, held_type(tensor.scalar_type())) : tensor;
}

NormWeight CausalLm::load_norm(const std::string& name, std::int64_t width) {
  return {name, stored_tensor(name + ".weight", {width}).to(device, at::kFloat).contiguous()};
}

Linear CausalLm::load_linear(const std::string& name, std::int64_t out_features, std::int64_t in_features) {
  Linear linear;
  linear.name = name;
  linear.weight_OI = load_frozen(name + ".weight", {out_features, in_features});
  return linear;
}

DecoderLayer CausalLm::load_layer(std::int64_t index) {
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  const auto hidden = config.hidden_size, wide = config.intermediate_size;
  const auto q_width = config.num_attention_heads * config.head_dim;
  const auto kv_width = config.num_key_value_heads * config.head_dim;
  DecoderLayer layer;
  layer.input_layernorm = load_norm(prefix + "input_layernorm", hidden);
  layer.post_attention_layernorm = load_norm(prefix + "post_attention_layernorm", hidden);
  if (config.has_qk_norm) {
    layer.q_norm = load_norm(prefix + "self_attn.q_norm", config.head_dim);
    layer.k_norm = load_norm(prefix + "self_attn.k_norm", config.head_dim);
  }
  layer.projections = {load_linear(prefix + "self_attn.q_proj", q_width, hidden),
                       load_linear(prefix + "self_attn.k_proj", kv_width, hidden),
                       load_linear(prefix + "self_attn.v_proj", kv_width, hidden),
                       load_linear(prefix + "self_attn.o_proj", hidden, q_width),
                       load_linear(prefix + "mlp.gate_proj", wide, hidden),
                       load_linear(prefix + "mlp.up_proj", wide, hidden),
                       load_linear(prefix + "mlp.down_proj", hidden, wide)};
  return layer;
}

Parameter* CausalLm::add_parameter(const std::string& name, const at::Tensor& initial,
                                   at::ScalarType compute) {
  auto parameter =
      loading_ == Loading::kWhole ? Parameter(name, initial, compute) : Parameter::unshared(name, initial);
  return full_parameters.emplace_back(std::make_unique<Parameter>(std::move(parameter))).get();
}

void CausalLm::train_all_weights() {
  const auto train_linear = [this](Linear& linear) {
    linear.weight_parameter = add_parameter(linear.name + ".weight", linear.weight_OI, precision.compute);
    linear.weight_OI = linear.weight_parameter->compute;
  };
  const auto train_norm = [this](NormWeight& weight) {
    if (!weight.weight_D.defined()) return;
    weight.parameter = add_parameter(weight.name + ".weight", weight.weight_D, at::kFloat);
    weight.weight_D = weight.parameter->compute;
  };
  embedding_parameter = add_parameter("model.embed_tokens.weight", embedding_VE, precision.compute);
  embedding_VE = embedding_parameter->compute;
  for (auto& layer : layers) {
    for (auto& linear : layer.projections) train_linear(linear);
    for (auto* weight :
         {&layer.q_norm, &layer.k_norm, &layer.input_layernorm, &layer.post_attention_layernorm})
      train_norm(*weight);
  }
  train_norm(norm);
  if (!config.tie_word_embeddings) train_linear(lm_head);
}

void CausalLm::share(ProcessGroup& group) {
  TORCH_CHECK(loading_ == Loading::kToBeShared);
  const auto add_weight = [this](ShardedUnit& unit, at::Tensor& weight, Parameter* parameter) {
    const auto held = held_type(weight.scalar_type());
    if (parameter)
      unit.add_trained(*parameter, precision.compute, held, &weight);
    else
      unit.add_frozen(weight, held);
  };
  // Frozen ones are a few thousand numbers: every rank holds them.
  const auto add_norm = [](ShardedUnit& unit, NormWeight& norm) {
    if (norm.parameter) unit.add_trained(*norm.parameter, at::kFloat, at::kFloat, &norm.weight_D);
  };
  const auto add_unit = [&]() -> ShardedUnit& {
    return *units_.emplace_back(std::make_unique<ShardedUnit>(group, device));
  };
  add_weight(add_unit(), embedding_VE, embedding_parameter);
  for (auto& layer : layers) {
    auto& unit = add_unit();
    for (auto& linear : layer.projections) {
      add_weight(unit, linear.weight_OI, linear.weight_parameter);
      if (!linear.lora) continue;
      for (auto* parameter : linear.lora->parameters())
        unit.add_trained(*parameter, parameter->compute.scalar_type(), at::kFloat, nullptr);
    }
    for (auto* weight :
         {&layer.q_norm, &layer.k_norm, &layer.input_layernorm, &layer.post_attention_layernorm})
      add_norm(unit, *weight);
  }
  auto& head = add_unit();
  add_norm(head, norm);
  if (!config.tie_word_embeddings) add_weight(head, lm_head.weight_OI, lm_head.weight_parameter);
  for (auto& unit : units_) {
    unit->share();
    if (weights_) weights_->drop_pages();  // what was read of the files for this rank's part
  }
}

std::vector<Parameter*> CausalLm::parameters() const {
  std::vector<Parameter*> all;
  for (const auto& parameter : full_parameters) all.push_back(parameter.get());
  for (const auto& layer : layers)
    for (const auto& linear : layer.projections)
      if (linear.lora)
        for (auto* parameter : linear.lora->parameters()) all.push_back(parameter);
  return all;
}

void CausalLm::for_each_linear(const std::function<void(Linear&)>& visit) {
  for (auto& layer : layers)
    for (auto& linear : layer.projections) visit(linear);
}

void CausalLm::pack() {
  for (auto& layer : layers) {
    for (auto& linear : layer.projections) linear.pack(precision.compute);
    weights_->drop_pages();
  }
  packed_head_ = std::make_unique<PackedLinear>(head_weight_VE(), precision.compute);
  weights_->drop_pages();
}

std::int64_t CausalLm::num_parameters() const {
  std::int64_t total = embedding_VE.numel() + norm.weight_D.numel();
  if (!config.tie_word_embeddings) total += lm_head.weight_OI.numel();
  for (const auto& layer : layers) {
    for (const auto& linear : layer.projections) total += linear.weight_OI.numel();
    for (const auto* weight :
         {&layer.q_norm, &layer.k_norm, &layer.input_layernorm, &layer.post_attention_layernorm})
      if (weight->weight_D.defined()) total += weight->weight_D.numel();
  }
  return total;
}

at::Tensor CausalLm::embed(const TokenBatch& batch) const {
  return at::embedding(embedding_VE, batch.ids_N).to(precision.compute);
}

void CausalLm::embed_backward(const TokenBatch& batch, const at::Tensor& dx_NE) {
  if (embedding_parameter) embedding_parameter->gradient.index_add_(0, batch.ids_N, dx_NE.to(at::kFloat));
}

RopeTable CausalLm::rope(const TokenBatch& batch) const {
  return rope_table(batch.positions_N, inverse_frequency);
}

at::Tensor run_layers(const CausalLm& model, const TokenBatch& batch) {
  const auto rope = model.rope(batch);
  const LayerPass pass{rope, batch.segment_starts, {}};
  at::Tensor x_NE;
  {
    const Gathered weights(model.embedding_unit());
    prefetch(model.layer_unit(0));
    x_NE = model.embed(batch);
  }
  const auto num_layers = static_cast<std::int64_t>(model.layers.size());
  for (std::int64_t index = 0; index < num_layers; ++index) {
    const Gathered weights(model.layer_unit(index));
    prefetch(index + 1 < num_layers ? model.layer_unit(index + 1) : model.head_unit());
    x_NE = model.layers[index].forward(model.config, x_NE, pass, nullptr);
  }
  return x_NE;
}

}  // namespace anneal
