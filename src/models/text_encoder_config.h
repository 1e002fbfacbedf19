// What config.json says of a text encoder of the BERT family, in one form for BERT, RoBERTa and DistilBERT.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace anneal {

struct TextEncoderConfig {
  std::string model_type;  // "bert", "roberta" or "distilbert"
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t max_position_embeddings = 0;
  std::int64_t type_vocab_size = 0;  // 0: the family has no token types
  std::int64_t padding_id = -1;      // RoBERTa's positions begin after it; -1 elsewhere
  double layer_norm_eps = 1e-12;

  std::int64_t max_tokens() const { return max_position_embeddings - padding_id - 1; }
};

// Reads <folder>/config.json. Throws UserError(kModel) for another family or an option that is not known.
TextEncoderConfig read_text_encoder_config(const std::filesystem::path& folder);

}  // namespace anneal
