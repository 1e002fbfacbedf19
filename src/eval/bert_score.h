// BERTScore (Zhang et al. 2020): texts compared by the cosines between the hidden states that an encoder
// gives to their tokens. Equal to bert_score 0.3.13 with the same weights.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/bert_score_options.h"
#include "eval/encoder_choice.h"
#include "models/text_encoder.h"
#include "tokenizer/tokenizer.h"

namespace anneal {

class BertScorer {
 public:
  // Throws EncoderUnavailable where the encoder is not on this machine, UserError for all else that is wrong.
  static BertScorer load(const BertScoreOptions& options);

  // One score a pair, in their order. As in bert_score, a pair with an empty text scores 0 (before
  // rescaling), and start and end of a text have no weight of their own but may be matched. Where no token
  // has a weight (idf, with tokens that every reference has), bert_score gives NaN; this gives 0. `progress`
  // gets the pairs done so far.
  std::vector<BertScore> score(
      const std::vector<std::string>& candidates, const std::vector<std::string>& references,
      const std::function<void(std::int64_t)>& progress = [](std::int64_t) {}) const;

  const std::string& name() const { return name_; }
  std::int64_t layer() const { return layer_; }
  std::string hash() const;  // what a score depends on, in one line

 private:
  BertScorer(const BertScoreOptions& options, const EncoderFolder& folder, std::int64_t layer);

  // The tokens of a text as the encoder sees it, start and end included; cut to what it can take.
  std::vector<std::int32_t> encode(std::string_view text) const;

  std::string name_;
  std::int64_t layer_;
  std::string dtype_;
  bool idf_;
  std::optional<BertScore> baseline_;
  Tokenizer tokenizer_;
  TextEncoder encoder_;
  std::int64_t max_tokens_;
};

}  // namespace anneal
