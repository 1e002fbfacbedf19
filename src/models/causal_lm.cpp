#include "models/causal_lm.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "device/device.h"
#include "nn/rope_frequencies.h"

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
  inverse_frequency = inverse_frequencies(config.rope, 0).to(device);
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

Linear CausalLm::load_linear(const std::string& name, std::int64_t out_features, std::int64_t in_features,
                             bool has_bias) {
  Linear linear;
  linear.name = name;
  linear.weight_OI = load_frozen(name + ".weight", {out_features, in_features});
  // Small, as norms are: held whole, and in the dtype that is computed with.
  if (has_bias)
    linear.bias_O = stored_tensor(name + ".bias", {out_features}).to(device, precision.compute).contiguous();
  return linear;
}

AttentionBlock CausalLm::load_attention(const std::string& prefix, std::int64_t index) {
  const auto hidden = config.hidden_size, q_width = config.q_width(), kv_width = config.kv_width();
  const bool bias = config.has_qkv_bias;
  AttentionBlock attention;
  attention.reach = config.reach[index];
  if (config.is_fused) {
    attention.inputs.push_back(load_linear(prefix + "qkv_proj", q_width + 2 * kv_width, hidden, bias));
  } else {
    attention.inputs.push_back(load_linear(prefix + "q_proj", q_width, hidden, bias));
    attention.inputs.push_back(load_linear(prefix + "k_proj", kv_width, hidden, bias));
    attention.inputs.push_back(load_linear(prefix + "v_proj", kv_width, hidden, bias));
  }
  attention.o_proj = load_linear(prefix + "o_proj", hidden, q_width, config.has_output_bias);
  if (config.has_qk_norm) {
    attention.q_norm = load_norm(prefix + "q_norm", config.head_dim);
    attention.k_norm = load_norm(prefix + "k_norm", config.head_dim);
  }
  return attention;
}

GatedMlp CausalLm::load_mlp(const std::string& prefix) {
  const auto hidden = config.hidden_size, wide = config.intermediate_size;
  const bool bias = config.has_mlp_bias;
  GatedMlp mlp;
  if (config.is_fused) {
    mlp.inputs.push_back(load_linear(prefix + "gate_up_proj", 2 * wide, hidden, bias));
  } else {
    mlp.inputs.push_back(load_linear(prefix + "gate_proj", wide, hidden, bias));
    mlp.inputs.push_back(load_linear(prefix + "up_proj", wide, hidden, bias));
  }
  mlp.down_proj = load_linear(prefix + "down_proj", hidden, wide, bias);
  return mlp;
}

MoeBlock CausalLm::load_experts(const std::string& prefix) {
  const auto& experts = *config.experts;
  const auto hidden = config.hidden_size, wide = experts.intermediate_size;
  MoeBlock moe;
  moe.experts_per_token = experts.per_token;
  moe.normalizes_weights = experts.normalizes_weights;
  moe.router = load_linear(prefix + "gate", experts.count, hidden);
  for (std::int64_t index = 0; index < experts.count; ++index) {
    const auto expert = prefix + "experts." + std::to_string(index) + ".";
    auto& mlp = moe.experts.emplace_back();
    mlp.inputs.push_back(load_linear(expert + experts.gate, wide, hidden));
    mlp.inputs.push_back(load_linear(expert + experts.up, wide, hidden));
    mlp.down_proj = load_linear(expert + experts.down, hidden, wide);
    mlp.for_each_linear([&](Linear& linear) {
      linear.share_of_tokens = static_cast<double>(experts.per_token) / static_cast<double>(experts.count);
    });
  }
  return moe;
}

DecoderLayer CausalLm::load_layer(std::int64_t index) {
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  DecoderLayer layer;
  layer.input_layernorm = load_norm(prefix + "input_layernorm", config.hidden_size);
  layer.post_attention_layernorm = load_norm(prefix + "post_attention_layernorm", config.hidden_size);
  layer.attention = load_attention(prefix + "self_attn.", index);
  if (config.is_sparse(index))
    layer.moe = load_experts(prefix + config.experts->block + ".");
  else
    layer.mlp = load_mlp(prefix + "mlp.");
  return layer;
}

Parameter* CausalLm::add_parameter(const std::string& name, const at::Tensor& initial,
                                   at::ScalarType compute) {
  auto parameter =
      loading_ == Loading::kWhole ? Parameter(name, initial, compute) : Parameter::unshared(name, initial);
  return full_parameters.emplace_back(std::make_unique<Parameter>(std::move(parameter))).get();
}

void CausalLm::train_linear(Linear& linear) {
  linear.weight_parameter = add_parameter(linear.name + ".weight", linear.weight_OI, precision.compute);
  linear.weight_OI = linear.weight_parameter->compute;
  if (!linear.bias_O.defined()) return;
  linear.bias_parameter = add_parameter(linear.name + ".bias", linear.bias_O, precision.compute);
  linear.bias_O = linear.bias_parameter->compute;
}

void CausalLm::train_norm(NormWeight& norm_weight) {
  norm_weight.parameter = add_parameter(norm_weight.name + ".weight", norm_weight.weight_D, at::kFloat);
  norm_weight.weight_D = norm_weight.parameter->compute;
}

void CausalLm::train_all_weights() {
  embedding_parameter = add_parameter("model.embed_tokens.weight", embedding_VE, precision.compute);
  embedding_VE = embedding_parameter->compute;
  for (auto& layer : layers) {
    if (layer.moe) train_linear(layer.moe->router);
    layer.for_each_linear([this](Linear& linear) { train_linear(linear); });
    layer.for_each_norm([this](NormWeight& weight) { train_norm(weight); });
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
  const auto add_linear = [&](ShardedUnit& unit, Linear& linear) {
    add_weight(unit, linear.weight_OI, linear.weight_parameter);
    if (linear.bias_parameter)
      unit.add_trained(*linear.bias_parameter, precision.compute, linear.bias_O.scalar_type(),
                       &linear.bias_O);
    if (!linear.lora) return;
    for (auto* parameter : linear.lora->parameters())
      unit.add_trained(*parameter, parameter->compute.scalar_type(), at::kFloat, nullptr);
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
    if (layer.moe) add_linear(unit, layer.moe->router);
    layer.for_each_linear([&](Linear& linear) { add_linear(unit, linear); });
    layer.for_each_norm([&](NormWeight& weight) { add_norm(unit, weight); });
  }
  auto& head = add_unit();
  add_norm(head, norm);
  if (!config.tie_word_embeddings) add_linear(head, lm_head);
  for (auto& unit : units_) {
    unit->share();
    if (weights_) weights_->drop_pages();  // what was read of the files for this rank's part
  }
}

std::vector<Parameter*> CausalLm::parameters() const {
  std::vector<Parameter*> all;
  for (const auto& parameter : full_parameters) all.push_back(parameter.get());
  for (const auto& layer : layers)
    layer.for_each_linear([&](const Linear& linear) {
      if (!linear.lora) return;
      for (auto* parameter : linear.lora->parameters()) all.push_back(parameter);
    });
  return all;
}

void CausalLm::for_each_linear(const std::function<void(Linear&)>& visit) {
  for (auto& layer : layers) layer.for_each_linear(visit);
}

void CausalLm::pack() {
  for (auto& layer : layers) {
    layer.for_each_linear([this](Linear& linear) { linear.pack(precision.compute); });
    if (layer.moe) layer.moe->router.pack(at::kFloat);
    weights_->drop_pages();
  }
  packed_head_ = std::make_unique<PackedLinear>(head_weight_VE(), precision.compute);
  weights_->drop_pages();
}

std::int64_t CausalLm::num_parameters() const {
  std::int64_t total = embedding_VE.numel() + norm.weight_D.numel();
  const auto add_linear = [&](const Linear& linear) {
    total += linear.weight_OI.numel();
    if (linear.bias_O.defined()) total += linear.bias_O.numel();
  };
  if (!config.tie_word_embeddings) add_linear(lm_head);
  for (const auto& layer : layers) {
    if (layer.moe) add_linear(layer.moe->router);
    layer.for_each_linear(add_linear);
    layer.for_each_norm([&](const NormWeight& weight) { total += weight.weight_D.numel(); });
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
  std::vector<LengthSpan> spans;
  for (std::int64_t sample = 0; sample < batch.samples(); ++sample) {
    const auto length = batch.segment_starts[sample + 1] - batch.segment_starts[sample];
    spans.push_back({length, length});
  }
  return rope(batch.positions_N, spans);
}

RopeTable CausalLm::rope(const at::Tensor& positions_N, std::span<const LengthSpan> spans) const {
  const auto& options = config.rope;
  if (!options.depends_on_length())
    return rope_table(positions_N, inverse_frequency, options.attention_factor);
  std::vector<at::Tensor> cos, sin;
  std::int64_t row = 0;
  for (const auto& [rows, length] : spans) {
    const auto frequency = inverse_frequencies(options, length).to(device);
    auto table = rope_table(positions_N.slice(0, row, row + rows), frequency, options.attention_factor);
    cos.push_back(std::move(table.cos_NF));
    sin.push_back(std::move(table.sin_NF));
    row += rows;
  }
  return {at::cat(cos), at::cat(sin)};
}

at::Tensor run_layers(const CausalLm& model, const TokenBatch& batch,
                      const std::function<at::Tensor(std::int64_t, const at::Tensor&)>& run) {
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
    x_NE = run(index, x_NE);
  }
  return x_NE;
}

at::Tensor run_layers(const CausalLm& model, const TokenBatch& batch) {
  const auto rope = model.rope(batch);
  const LayerPass pass{rope, batch.segment_starts, {}};
  return run_layers(model, batch, [&](std::int64_t index, const at::Tensor& x_NE) {
    return model.layers[index].forward(model.config, x_NE, pass, nullptr);
  });
}

}  // namespace anneal
