#include "models/text_encoder_config.h"

#include "architecture/model_config.h"
#include "base/json.h"

namespace anneal {
namespace {

// The names that a family gives to what all have.
struct Keys {
  const char *hidden_size, *intermediate_size, *num_hidden_layers, *num_attention_heads, *activation;
};
constexpr Keys kBertKeys{"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                         "hidden_act"};
constexpr Keys kDistilBertKeys{"dim", "hidden_dim", "n_layers", "n_heads", "activation"};

std::int64_t positive(const Json& config, const char* key, const std::string& where) {
  const auto value = required<std::int64_t>(config, key, where, ExitCode::kModel);
  if (value <= 0)
    fail(ExitCode::kModel, std::string("\"") + key + "\" is " + std::to_string(value), where,
         "use a complete, unmodified config.json");
  return value;
}

}  // namespace

TextEncoderConfig read_text_encoder_config(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  const std::string where = path.string();
  const Json config = read_json_file(path, ExitCode::kModel);
  if (!config.is_object())
    fail(ExitCode::kModel, "is not a JSON object", where, "use an unmodified config.json");
  TextEncoderConfig model;
  model.model_type = required<std::string>(config, "model_type", where, ExitCode::kModel);
  const bool is_distilbert = model.model_type == "distilbert", is_roberta = model.model_type == "roberta";
  if (!is_distilbert && !is_roberta && model.model_type != "bert")
    fail(ExitCode::kModel, "\"" + model.model_type + "\" is no text encoder that is known", where,
         "use a model of the type bert, roberta or distilbert");
  const Keys& keys = is_distilbert ? kDistilBertKeys : kBertKeys;
  model.vocab_size = positive(config, "vocab_size", where);
  model.hidden_size = positive(config, keys.hidden_size, where);
  model.intermediate_size = positive(config, keys.intermediate_size, where);
  model.num_hidden_layers = positive(config, keys.num_hidden_layers, where);
  model.num_attention_heads = positive(config, keys.num_attention_heads, where);
  model.max_position_embeddings = positive(config, "max_position_embeddings", where);
  if (!is_distilbert) {
    model.type_vocab_size = positive(config, "type_vocab_size", where);
    model.layer_norm_eps =
        optional<double>(config, "layer_norm_eps", model.layer_norm_eps, where, ExitCode::kModel);
  }
  if (is_roberta)
    model.padding_id = optional<std::int64_t>(config, "pad_token_id", 1, where, ExitCode::kModel);
  if (model.hidden_size % model.num_attention_heads != 0)
    fail(ExitCode::kModel, "the hidden size is no multiple of the number of heads", where,
         "use a complete, unmodified config.json");
  require_value(config, keys.activation, "gelu", where);
  require_value(config, "position_embedding_type", "absolute", where);
  require_value(config, "is_decoder", false, where);
  return model;
}

}  // namespace anneal
