#include "architecture/model_config.h"

namespace anneal {
namespace {

template <class T>
T need(const Json& config, const char* key, const std::string& where) {
  return required<T>(config, key, where, ExitCode::kModel);
}

template <class T>
T take(const Json& config, const char* key, T fallback, const std::string& where) {
  return optional<T>(config, key, fallback, where, ExitCode::kModel);
}

// Where transformers 4 writes rope_theta and rope_scaling, transformers 5 has both inside rope_parameters.
Json rope_object(const Json& config) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const auto found = config.find(key);
    if (found != config.end() && found->is_object()) return *found;
  }
  return Json::object();
}

// What follows is of samples longer than the model was first trained on.
double original_positions(const Json& config, const Json& rope, const RopeParameters& read,
                          const std::string& where) {
  const auto in_rope = take(rope, "original_max_position_embeddings",
                            static_cast<double>(read.max_position_embeddings), where);
  return take(config, "original_max_position_embeddings", in_rope, where);
}

void read_yarn(const Json& rope, const std::string& where, RopeParameters& read) {
  read.beta_fast = take(rope, "beta_fast", read.beta_fast, where);
  read.beta_slow = take(rope, "beta_slow", read.beta_slow, where);
  read.truncate = take(rope, "truncate", read.truncate, where);
  const auto mscale = take(rope, "mscale", 0.0, where), all = take(rope, "mscale_all_dim", 0.0, where);
  read.attention_factor =
      take(rope, "attention_factor", yarn_attention_factor(read.factor, mscale, all), where);
}

void read_longrope(const Json& rope, const std::string& where, RopeParameters& read) {
  read.short_factor = need<std::vector<double>>(rope, "short_factor", where);
  read.long_factor = need<std::vector<double>>(rope, "long_factor", where);
  for (const auto* factors : {&read.short_factor, &read.long_factor})
    if (static_cast<std::int64_t>(factors->size()) != read.rotary_dim / 2)
      fail(ExitCode::kModel,
           "longrope has " + std::to_string(factors->size()) + " factors for " +
               std::to_string(read.rotary_dim / 2) + " frequencies",
           where, "use a complete, unmodified config.json");
  read.attention_factor =
      take(rope, "attention_factor",
           longrope_attention_factor(read.factor, read.original_max_position_embeddings), where);
}

void read_rope_kind(const Json& config, const Json& rope, const std::string& where, RopeParameters& read) {
  if (read.kind == "default") return;
  if (read.kind == "linear" || read.kind == "dynamic") {
    read.factor = need<double>(rope, "factor", where);
    return;
  }
  read.original_max_position_embeddings = original_positions(config, rope, read, where);
  if (read.kind == "llama3") {
    read.factor = need<double>(rope, "factor", where);
    read.low_frequency_factor = need<double>(rope, "low_freq_factor", where);
    read.high_frequency_factor = need<double>(rope, "high_freq_factor", where);
    return;
  }
  read.factor =
      take(rope, "factor",
           static_cast<double>(read.max_position_embeddings) / read.original_max_position_embeddings, where);
  if (read.kind == "yarn") return read_yarn(rope, where, read);
  if (read.kind == "longrope") return read_longrope(rope, where, read);
  fail(ExitCode::kModel, "rope scaling \"" + read.kind + "\" is not supported", where,
       "use a model with default, linear, dynamic, yarn, longrope or llama3 rope scaling");
}

}  // namespace

void read_rope(const Json& config, const std::string& where, ModelConfig& model, bool takes_partial) {
  if (model.head_dim <= 0 || model.head_dim % 2 != 0)
    fail(ExitCode::kModel, "head_dim is " + std::to_string(model.head_dim), where,
         "use a model whose head size is even");
  const Json rope = rope_object(config);
  auto& read = model.rope;
  read.theta = take(rope, "rope_theta", take(config, "rope_theta", read.theta, where), where);
  read.kind = take<std::string>(rope, "rope_type", take<std::string>(rope, "type", "default", where), where);
  const auto share =
      take(rope, "partial_rotary_factor", take(config, "partial_rotary_factor", 1.0, where), where);
  read.rotary_dim = static_cast<std::int64_t>(static_cast<double>(model.head_dim) * share);
  if ((share != 1 && !takes_partial) || read.rotary_dim <= 0 || read.rotary_dim % 2 != 0 ||
      read.rotary_dim > model.head_dim)
    fail(ExitCode::kModel, "\"partial_rotary_factor\": " + Json(share).dump() + " is not supported", where,
         "use a model that rotates whole heads");
  read_rope_kind(config, rope, where, read);
}

void require_positive(std::int64_t value, const char* key, const std::string& where) {
  if (value <= 0)
    fail(ExitCode::kModel, std::string("\"") + key + "\" is " + std::to_string(value), where,
         "use a complete, unmodified config.json");
}

void require_value(const Json& config, const char* key, const Json& wanted, const std::string& where) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null() || *found == wanted) return;
  fail(ExitCode::kModel, std::string("\"") + key + "\": " + found->dump() + " is not supported", where,
       std::string("use a model with ") + wanted.dump() + " there");
}

ModelConfig read_shared_keys(const Json& config, const std::string& where) {
  ModelConfig model;
  model.vocab_size = need<std::int64_t>(config, "vocab_size", where);
  model.hidden_size = need<std::int64_t>(config, "hidden_size", where);
  model.intermediate_size = need<std::int64_t>(config, "intermediate_size", where);
  model.num_hidden_layers = need<std::int64_t>(config, "num_hidden_layers", where);
  model.num_attention_heads = need<std::int64_t>(config, "num_attention_heads", where);
  model.num_key_value_heads = take(config, "num_key_value_heads", model.num_attention_heads, where);
  require_positive(model.vocab_size, "vocab_size", where);
  require_positive(model.hidden_size, "hidden_size", where);
  require_positive(model.intermediate_size, "intermediate_size", where);
  require_positive(model.num_hidden_layers, "num_hidden_layers", where);
  require_positive(model.num_attention_heads, "num_attention_heads", where);
  require_positive(model.num_key_value_heads, "num_key_value_heads", where);
  if (model.num_attention_heads % model.num_key_value_heads != 0)
    fail(ExitCode::kModel, "num_attention_heads is no multiple of num_key_value_heads", where,
         "use a complete, unmodified config.json");
  model.rope.max_position_embeddings = need<std::int64_t>(config, "max_position_embeddings", where);
  require_positive(model.rope.max_position_embeddings, "max_position_embeddings", where);
  model.reach.resize(model.num_hidden_layers);
  model.rms_norm_eps = take(config, "rms_norm_eps", 1e-6, where);
  model.dtype =
      take<std::string>(config, "dtype", take<std::string>(config, "torch_dtype", "float32", where), where);
  model.tie_word_embeddings = take(config, "tie_word_embeddings", false, where);
  if (take<std::string>(config, "hidden_act", "silu", where) != "swish")  // another name of it
    require_value(config, "hidden_act", "silu", where);
  if (config.contains("quantization_config") && !config["quantization_config"].is_null())
    fail(ExitCode::kModel, "the model is quantized", where, "use the unquantized model");
  return model;
}

void read_head_dim(const Json& config, const std::string& where, ModelConfig& model) {
  model.head_dim = take(config, "head_dim", model.hidden_size / model.num_attention_heads, where);
}

void read_window(const Json& config, const std::string& where, ModelConfig& model) {
  const auto found = config.find("sliding_window");
  if (found == config.end() || found->is_null()) return;
  const auto window = need<std::int64_t>(config, "sliding_window", where);
  require_positive(window, "sliding_window", where);
  for (auto& reach : model.reach) reach.window = window;
}

void read_window_by_layer(const Json& config, const std::string& where, ModelConfig& model) {
  if (!take(config, "use_sliding_window", false, where)) return;
  const auto all = model.reach;
  read_window(config, where, model);
  const auto types = take(config, "layer_types", std::vector<std::string>(), where);
  if (!types.empty() && static_cast<std::int64_t>(types.size()) != model.num_hidden_layers)
    fail(ExitCode::kModel,
         "\"layer_types\" names " + std::to_string(types.size()) + " of " +
             std::to_string(model.num_hidden_layers) + " layers",
         where, "use a complete, unmodified config.json");
  const auto first = take<std::int64_t>(config, "max_window_layers", 28, where);
  for (std::int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    const bool slides = types.empty() ? layer >= first : types[layer] == "sliding_attention";
    if (!slides) model.reach[layer] = all[layer];
  }
}

void read_attention_bias(const Json& config, const std::string& where, ModelConfig& model) {
  model.has_qkv_bias = model.has_output_bias = take(config, "attention_bias", false, where);
}

namespace {

void require_experts(const ModelConfig& model, const std::string& where) {
  if (!model.experts) return;
  require_positive(model.experts->count, "num_experts", where);
  require_positive(model.experts->per_token, "num_experts_per_tok", where);
  require_positive(model.experts->intermediate_size, "moe_intermediate_size", where);
  if (model.experts->per_token > model.experts->count)
    fail(ExitCode::kModel, "\"num_experts_per_tok\" is more than there are experts", where,
         "use a complete, unmodified config.json");
}

}  // namespace

ModelConfig read_model_config(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  return read_model_config(read_json_file(path, ExitCode::kModel), path.string());
}

ModelConfig read_model_config(const Json& config, const std::string& where) {
  if (!config.is_object())
    fail(ExitCode::kModel, "is not a JSON object", where, "use an unmodified config.json");
  const auto architectures = take(config, "architectures", std::vector<std::string>(), where);
  const std::string architecture = architectures.empty() ? "" : architectures.front();

  struct Family {
    const char* architecture;
    ModelConfig (*read)(const Json&, const std::string&);
  };
  static constexpr Family kFamilies[] = {
      {"LlamaForCausalLM", read_llama_config},       {"MistralForCausalLM", read_mistral_config},
      {"MixtralForCausalLM", read_mixtral_config},   {"Phi3ForCausalLM", read_phi3_config},
      {"Qwen2ForCausalLM", read_qwen2_config},       {"Qwen3ForCausalLM", read_qwen3_config},
      {"Qwen3MoeForCausalLM", read_qwen3_moe_config}};
  std::string known;
  for (const auto& family : kFamilies) {
    known += (known.empty() ? "" : ", ") + std::string(family.architecture);
    if (architecture != family.architecture) continue;
    auto model = family.read(config, where);
    model.architecture = architecture;
    require_experts(model, where);
    return model;
  }
  fail(ExitCode::kModel,
       architecture.empty() ? "names no architecture" : "unknown architecture " + architecture, where,
       "use one of " + known + "; or train with --engine transformers");
}

std::string fit_length(std::int64_t& max_seq_length, bool is_given, std::int64_t limit) {
  if (max_seq_length <= limit) return "";
  if (is_given)
    fail(ExitCode::kUsage,
         std::to_string(max_seq_length) + " is above the model's limit of " + std::to_string(limit),
         "--max_seq_length", "give at most the model's limit");
  max_seq_length = limit;
  return "max_seq_length is " + std::to_string(limit) + ", the model's limit";
}

}  // namespace anneal
