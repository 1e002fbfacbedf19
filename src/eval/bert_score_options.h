// Which encoder BERTScore compares texts with, and how. Free of torch.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/fields.h"

namespace anneal {

struct BertScoreOptions {
  bool no_bertscore = false;
  std::optional<std::string> bertscore_model;
  std::int64_t bertscore_layer = 0;
  std::string bertscore_lang = "en";
  bool bertscore_idf = false;
  bool bertscore_rescale = false;
  std::optional<std::string> bertscore_baseline;
  std::string bertscore_dtype = "fp32";

  static void fields(auto& c, auto field) {
    field("no_bertscore", c.no_bertscore, "Leave BERTScore out.");
    field("bertscore_model", c.bertscore_model,
          "The encoder (BERT, RoBERTa or DistilBERT): a folder, or an id that the local Hugging Face cache "
          "holds. "
          "Default: that of bert_score for the language, roberta-large for en.");
    field("bertscore_layer", c.bertscore_layer,
          "Compare hidden states after this layer, counted from 1; 0: the one that bert_score takes for the "
          "model.",
          FieldTraits{.minimum = 0});
    field("bertscore_lang", c.bertscore_lang,
          "Language of the texts: en, zh, ...; chooses the default encoder.");
    field("bertscore_idf", c.bertscore_idf, "Weigh tokens by how few of the references have them.");
    field("bertscore_rescale", c.bertscore_rescale,
          "Give (score - baseline) / (1 - baseline), where the baseline is the score of unrelated texts.");
    field(
        "bertscore_baseline", c.bertscore_baseline,
        "Baselines of --bertscore_rescale: a file in the format of bert_score, LAYER,P,R,F a line. Default: "
        "those published for the known English encoders.");
    field("bertscore_dtype", c.bertscore_dtype, "What the encoder multiplies in.",
          FieldTraits{.choices = {"fp32", "bf16"}});
  }
};

}  // namespace anneal
