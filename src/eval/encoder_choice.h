// Which encoder BERTScore uses: the folder of the model, its layer, and the baselines of rescaled scores.
#pragma once
#include <filesystem>
#include <string>

#include "base/error.h"
#include "eval/bert_score_options.h"
#include "models/text_encoder_config.h"

namespace anneal {

// The encoder is not on this machine: other metrics can go on without it.
class EncoderUnavailable : public UserError {
 public:
  using UserError::UserError;
};

struct EncoderFolder {
  std::string name;  // as given; the folder's own name for a path
  std::filesystem::path path;
};

// A folder as given, or an id in the Hub's cache. Throws
// EncoderUnavailable, and UserError(kUsage) for a path that is not there.
EncoderFolder find_encoder(const BertScoreOptions& options);

// Counted from 1. Throws UserError(kUsage) for one that the model lacks, or where no default is known.
std::int64_t choose_layer(const BertScoreOptions& options, const std::string& name,
                          const TextEncoderConfig& config);

struct BertScore {
  double precision = 0, recall = 0, f1 = 0;
};

// The scores of unrelated texts. Throws UserError(kUsage) where none are known, UserError(kData) for a
// damaged file.
BertScore choose_baseline(const BertScoreOptions& options, const std::string& name, std::int64_t layer);

BertScore rescale(const BertScore& score, const BertScore& baseline);

}  // namespace anneal
