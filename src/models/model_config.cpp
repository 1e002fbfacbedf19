#include "models/model_config.h"

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

void read_rope(const Json& config, const std::string& where, ModelConfig& model) {
  // transformers 4: rope_theta and rope_scaling; transformers 5: both inside rope_parameters.
  Json rope = config.value("rope_parameters", Json());
  if (!rope.is_object()) rope = config.value("rope_scaling", Json());
  if (!rope.is_object()) rope = Json::object();
  model.rope_theta = take(rope, "rope_theta", take(config, "rope_theta", 10000.0, where), where);
  const auto kind =
      take<std::string>(rope, "rope_type", take<std::string>(rope, "type", "default", where), where);
  if (kind == "default") return;
  if (kind != "llama3")
    fail(ExitCode::kModel, "rope scaling \"" + kind + "\" is not supported", where,
         "use a model with default or llama3 rope scaling");
  model.rope_scaling.kind = kind;
  model.rope_scaling.factor = need<double>(rope, "factor", where);
  model.rope_scaling.low_frequency_factor = need<double>(rope, "low_freq_factor", where);
  model.rope_scaling.high_frequency_factor = need<double>(rope, "high_freq_factor", where);
  model.rope_scaling.original_max_position_embeddings =
      need<double>(rope, "original_max_position_embeddings", where);
}

void require_positive(std::int64_t value, const char* key, const std::string& where) {
  if (value <= 0)
    fail(ExitCode::kModel, std::string("\"") + key + "\" is " + std::to_string(value), where,
         "use a complete, unmodified config.json");
}

}  // namespace

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
  model.max_position_embeddings = need<std::int64_t>(config, "max_position_embeddings", where);
  require_positive(model.max_position_embeddings, "max_position_embeddings", where);
  model.rms_norm_eps = take(config, "rms_norm_eps", 1e-6, where);
  model.dtype =
      take<std::string>(config, "dtype", take<std::string>(config, "torch_dtype", "float32", where), where);
  model.tie_word_embeddings = take(config, "tie_word_embeddings", false, where);
  require_value(config, "hidden_act", "silu", where);
  require_value(config, "attention_bias", false, where);
  require_value(config, "mlp_bias", false, where);
  if (config.contains("quantization_config") && !config["quantization_config"].is_null())
    fail(ExitCode::kModel, "the model is quantized", where, "use the unquantized model");
  read_rope(config, where, model);
  return model;
}

ModelConfig read_model_config(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  const std::string where = path.string();
  const Json config = read_json_file(path, ExitCode::kModel);
  if (!config.is_object())
    fail(ExitCode::kModel, "is not a JSON object", where, "use an unmodified config.json");
  const auto architectures = take(config, "architectures", std::vector<std::string>(), where);
  const std::string architecture = architectures.empty() ? "" : architectures.front();

  struct Family {
    const char* architecture;
    ModelConfig (*read)(const Json&, const std::string&);
  };
  static constexpr Family kFamilies[] = {{"LlamaForCausalLM", read_llama_config},
                                         {"Qwen3ForCausalLM", read_qwen3_config}};
  std::string known;
  for (const auto& family : kFamilies) {
    known += (known.empty() ? "" : ", ") + std::string(family.architecture);
    if (architecture != family.architecture) continue;
    auto model = family.read(config, where);
    model.architecture = architecture;
    if (model.head_dim <= 0 || model.head_dim % 2 != 0)
      fail(ExitCode::kModel, "head_dim is " + std::to_string(model.head_dim), where,
           "use a model whose head size is even");
    return model;
  }
  fail(ExitCode::kModel,
       architecture.empty() ? "names no architecture" : "unknown architecture " + architecture, where,
       "use one of " + known);
}

}  // namespace anneal
