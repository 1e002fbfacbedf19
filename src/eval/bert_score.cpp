// Shapes: N tokens, E hidden size, C tokens of the candidate, R tokens of the reference.
#include "eval/bert_score.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "base/json.h"
#include "text/text_metrics.h"

namespace anneal {
namespace {

constexpr std::int64_t kBatchTokens = 4096;  // that the encoder runs at a time
constexpr std::int64_t kChunkTokens =
    1 << 16;  // whose hidden states are held at a time: 256 MB for roberta-large

// The distinct texts of all pairs.
struct TextSet {
  std::vector<std::vector<std::int32_t>> ids;       // by text
  std::vector<std::size_t> candidates, references;  // the text of each pair
};

// What tokens count for: 1 each, or ln((references + 1) / (references with the token + 1)).
class TokenWeights {
 public:
  TokenWeights(const std::vector<std::int32_t>& specials, double unseen) : unseen_(unseen) {
    for (const auto id : specials) weights_[id] = 0;
  }

  static TokenWeights by_rarity(const TextSet& texts) {
    const auto documents = static_cast<double>(texts.references.size());
    TokenWeights weights({}, std::log(documents + 1));
    std::unordered_map<std::int32_t, std::int64_t> counts;
    for (const auto text : texts.references) {
      auto distinct = texts.ids[text];
      std::sort(distinct.begin(), distinct.end());
      distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
      for (const auto id : distinct) ++counts[id];
    }
    for (const auto& [id, count] : counts)
      weights.weights_[id] = std::log((documents + 1) / static_cast<double>(count + 1));
    return weights;
  }

  double of(std::int32_t id) const {
    const auto found = weights_.find(id);
    return found == weights_.end() ? unseen_ : found->second;
  }

 private:
  double unseen_;
  std::unordered_map<std::int32_t, double> weights_;
};

double weighted_mean(const at::Tensor& values_N, const std::vector<std::int32_t>& ids,
                     const TokenWeights& weights) {
  const auto contiguous = values_N.contiguous();
  const float* values = contiguous.const_data_ptr<float>();
  double sum = 0, weight = 0;
  for (std::size_t at = 0; at < ids.size(); ++at) {
    sum += weights.of(ids[at]) * values[at];
    weight += weights.of(ids[at]);
  }
  return weight == 0 ? 0 : sum / weight;
}

BertScore score_pair(const at::Tensor& candidate_CE, const std::vector<std::int32_t>& candidate,
                     const at::Tensor& reference_RE, const std::vector<std::int32_t>& reference,
                     const TokenWeights& weights) {
  const auto cosines_CR = at::mm(candidate_CE, reference_RE.t());
  BertScore score;
  score.precision = weighted_mean(cosines_CR.amax(1), candidate, weights);
  score.recall = weighted_mean(cosines_CR.amax(0), reference, weights);
  const double sum = score.precision + score.recall;
  score.f1 = sum == 0 ? 0 : 2 * score.precision * score.recall / sum;
  return score;
}

// The hidden states of the given texts, each of length 1, in batches of texts of like length.
void add_embeddings(const TextEncoder& encoder, const TextSet& texts, std::vector<std::size_t> wanted,
                    std::vector<at::Tensor>& embeddings) {
  std::stable_sort(wanted.begin(), wanted.end(),
                   [&](std::size_t a, std::size_t b) { return texts.ids[a].size() > texts.ids[b].size(); });
  for (std::size_t begin = 0; begin < wanted.size();) {
    std::vector<std::span<const std::int32_t>> batch;
    std::int64_t tokens = 0;
    for (std::size_t end = begin; end < wanted.size(); ++end) {
      tokens += static_cast<std::int64_t>(texts.ids[wanted[end]].size());
      if (end > begin && tokens > kBatchTokens) break;
      batch.emplace_back(texts.ids[wanted[end]]);
    }
    auto hidden_NE = encoder.encode(batch);
    hidden_NE.div_(at::linalg_vector_norm(hidden_NE, 2, at::IntArrayRef{-1}, /*keepdim=*/true));
    std::int64_t start = 0;
    for (const auto& text : batch) {
      const auto length = static_cast<std::int64_t>(text.size());
      embeddings[wanted[begin++]] = hidden_NE.slice(0, start, start + length);
      start += length;
    }
  }
}

TextSet distinct_texts(const std::vector<std::string>& candidates, const std::vector<std::string>& references,
                       const std::function<std::vector<std::int32_t>(std::string_view)>& encode) {
  TextSet texts;
  std::unordered_map<std::string_view, std::size_t> known;
  const auto index_of = [&](const std::string& text) {
    const auto [found, is_new] = known.try_emplace(strip(text), texts.ids.size());
    if (is_new) texts.ids.push_back(encode(found->first));
    return found->second;
  };
  for (const auto& text : candidates) texts.candidates.push_back(index_of(text));
  for (const auto& text : references) texts.references.push_back(index_of(text));
  return texts;
}

std::int64_t longest_text(const std::filesystem::path& folder, const TextEncoderConfig& config) {
  const auto path = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(path)) return config.max_tokens();
  const Json json = read_json_file(path, ExitCode::kModel);
  // A file without a limit says 1e30.
  const auto limit = static_cast<double>(config.max_tokens());
  return static_cast<std::int64_t>(
      std::min(limit, optional<double>(json, "model_max_length", limit, path.string(), ExitCode::kModel)));
}

}  // namespace

BertScorer BertScorer::load(const BertScoreOptions& options) {
  const auto folder = find_encoder(options);
  return BertScorer(options, folder,
                    choose_layer(options, folder.name, read_text_encoder_config(folder.path)));
}

BertScorer::BertScorer(const BertScoreOptions& options, const EncoderFolder& folder, std::int64_t layer)
    : name_(folder.name),
      layer_(layer),
      dtype_(options.bertscore_dtype),
      idf_(options.bertscore_idf),
      tokenizer_(Tokenizer::load(folder.path)),
      encoder_(folder.path, layer, dtype_ == "bf16" ? at::kBFloat16 : at::kFloat),
      max_tokens_(longest_text(folder.path, encoder_.config())) {
  if (options.bertscore_rescale) baseline_ = choose_baseline(options, name_, layer_);
  if (tokenizer_.leading_special_ids().size() != 1 || tokenizer_.trailing_special_ids().size() != 1)
    fail(ExitCode::kModel, "the tokenizer does not put one token before and one behind a text",
         (folder.path / "tokenizer.json").string(), "use the tokenizer of the encoder");
  if (tokenizer_.largest_id() >= encoder_.config().vocab_size)
    fail(ExitCode::kModel,
         fmt::format("the tokenizer has the id {}, the embedding only {} rows", tokenizer_.largest_id(),
                     encoder_.config().vocab_size),
         (folder.path / "tokenizer.json").string(), "use the tokenizer of the encoder");
}

std::vector<std::int32_t> BertScorer::encode(std::string_view text) const {
  // RoBERTa's words begin with a space, and bert_score gives the first one its own.
  const bool wants_space = encoder_.config().model_type == "roberta" && !text.empty();
  auto ids = tokenizer_.encode(wants_space ? " " + std::string(text) : text);
  if (static_cast<std::int64_t>(ids.size()) > max_tokens_) {
    const auto end = ids.back();
    ids.resize(max_tokens_);
    ids.back() = end;
  }
  return ids;
}

std::vector<BertScore> BertScorer::score(const std::vector<std::string>& candidates,
                                         const std::vector<std::string>& references,
                                         const std::function<void(std::int64_t)>& progress) const {
  TORCH_CHECK(candidates.size() == references.size(), "a candidate lacks its reference");
  const c10::InferenceMode no_autograd;
  const auto texts =
      distinct_texts(candidates, references, [this](std::string_view text) { return encode(text); });
  const TokenWeights weights =
      idf_ ? TokenWeights::by_rarity(texts)
           : TokenWeights({tokenizer_.leading_special_ids()[0], tokenizer_.trailing_special_ids()[0]}, 1);
  const auto length = [&](std::size_t text) { return static_cast<std::int64_t>(texts.ids[text].size()); };
  // Long pairs first, so that texts of like length meet in a chunk.
  std::vector<std::size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return length(texts.references[a]) > length(texts.references[b]);
  });

  std::vector<BertScore> scores(candidates.size());
  for (std::size_t begin = 0; begin < order.size();) {
    std::vector<at::Tensor> embeddings(texts.ids.size());
    std::vector<bool> is_wanted(texts.ids.size());
    std::vector<std::size_t> wanted;
    std::size_t end = begin;
    for (std::int64_t tokens = 0; end < order.size() && tokens < kChunkTokens; ++end)
      for (const auto text : {texts.candidates[order[end]], texts.references[order[end]]}) {
        if (is_wanted[text]) continue;
        is_wanted[text] = true;
        wanted.push_back(text);
        tokens += length(text);
      }
    add_embeddings(encoder_, texts, std::move(wanted), embeddings);
    at::parallel_for(begin, end, 1, [&](std::int64_t from, std::int64_t to) {
      const c10::InferenceMode no_autograd_here;
      for (auto at = from; at < to; ++at) {
        const auto candidate = texts.candidates[order[at]], reference = texts.references[order[at]];
        BertScore& score = scores[order[at]];
        constexpr std::int64_t kOnlySpecials = 2;
        if (length(candidate) > kOnlySpecials && length(reference) > kOnlySpecials)
          score = score_pair(embeddings[candidate], texts.ids[candidate], embeddings[reference],
                             texts.ids[reference], weights);
        if (baseline_) score = rescale(score, *baseline_);
      }
    });
    begin = end;
    progress(static_cast<std::int64_t>(end));
  }
  return scores;
}

std::string BertScorer::hash() const {
  return fmt::format("anneal-bertscore {}_L{}_{}_{}{}", name_, layer_, idf_ ? "idf" : "no-idf", dtype_,
                     baseline_ ? "-rescaled" : "");
}

}  // namespace anneal
