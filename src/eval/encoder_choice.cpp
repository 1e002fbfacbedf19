#include "eval/encoder_choice.h"

#include <fmt/format.h>

#include <sstream>

#include "base/file.h"
#include "hub/model.h"

namespace anneal {
namespace {

// Layers and baselines that bert_score 0.3.13 has for these models; baselines are of English at that layer.
struct KnownEncoder {
  std::string_view organisation, name;
  std::int64_t layer;
  std::optional<BertScore> baseline;
};
constexpr KnownEncoder kKnownEncoders[] = {
    {"FacebookAI", "roberta-large", 17, BertScore{0.83150584, 0.8314941, 0.83122575}},
    {"FacebookAI", "roberta-base", 10, BertScore{0.8146725, 0.8146619, 0.814463}},
    {"distilbert", "distilroberta-base", 5, BertScore{0.84732, 0.84759504, 0.8473319}},
    {"distilbert", "distilbert-base-uncased", 5, BertScore{0.6666034, 0.66660464, 0.66620487}},
    {"google-bert", "bert-base-uncased", 9, BertScore{0.35375935, 0.3537393, 0.35219112}},
    {"google-bert", "bert-large-uncased", 18, BertScore{0.4278576, 0.42786714, 0.42646673}},
    {"google-bert", "bert-base-multilingual-cased", 9, std::nullopt},
    {"google-bert", "bert-base-chinese", 8, std::nullopt}};

// Other models: the layer of the known one of the same kind and depth.
struct DepthDefault {
  std::string_view model_type;
  std::int64_t num_hidden_layers, layer;
};
constexpr DepthDefault kDepthDefaults[] = {{"roberta", 24, 17}, {"roberta", 12, 10}, {"roberta", 6, 5},
                                           {"bert", 24, 18},    {"bert", 12, 9},     {"distilbert", 6, 5}};

const KnownEncoder* known_encoder(std::string_view name) {
  for (const auto& known : kKnownEncoders)
    if (name == known.name || name == fmt::format("{}/{}", known.organisation, known.name)) return &known;
  return nullptr;
}

std::string default_model(const std::string& language) {
  if (language == "en") return "roberta-large";
  return language == "zh" ? "bert-base-chinese" : "bert-base-multilingual-cased";
}

std::filesystem::path cached_model(const std::string& id) { return find_model({id}, ModelPart::kWhole); }

[[noreturn]] void fail_without_baseline(const std::string& name, std::int64_t layer) {
  fail(ExitCode::kUsage, fmt::format("no baseline is known for layer {} of {}", layer, name),
       "--bertscore_rescale", "give --bertscore_baseline FILE, or leave --bertscore_rescale out");
}

BertScore baseline_of_file(const std::string& path, std::int64_t layer) {
  std::istringstream lines(read_file(path, ExitCode::kData));
  std::string line;
  std::getline(lines, line);  // LAYER,P,R,F
  for (int number = 2; std::getline(lines, line); ++number) {
    std::int64_t row = 0;
    BertScore baseline;
    std::istringstream fields(line);
    char commas[3] = {};
    fields >> row >> commas[0] >> baseline.precision >> commas[1] >> baseline.recall >> commas[2] >>
        baseline.f1;
    if (!fields || std::string_view(commas, 3) != ",,,")
      fail(ExitCode::kData, "this is not a line LAYER,P,R,F: " + line, fmt::format("{}:{}", path, number),
           "give a baseline file of bert_score");
    if (row == layer) return baseline;
  }
  fail(ExitCode::kData, fmt::format("there is no line for layer {}", layer), path,
       "give the baseline file of this encoder");
}

}  // namespace

EncoderFolder find_encoder(const BertScoreOptions& options) {
  const std::string given = options.bertscore_model.value_or(default_model(options.bertscore_lang));
  if (std::filesystem::is_directory(given)) {
    const auto path = std::filesystem::canonical(given);
    return {path.filename().string(), path};
  }
  if (given.starts_with('/') || given.starts_with('.'))
    fail(ExitCode::kUsage, "there is no folder " + given, "--bertscore_model",
         "give the path of an encoder's folder");
  auto path = cached_model(given);
  const auto* known = known_encoder(given);
  if (path.empty() && known) path = cached_model(fmt::format("{}/{}", known->organisation, known->name));
  if (path.empty() && known) path = cached_model(std::string(known->name));
  if (path.empty())
    throw EncoderUnavailable(
        ExitCode::kModel,
        Problem{"the encoder " + given + " is not on this machine",
                "--bertscore_model (" + hub_cache().string() + ")",
                "download it into the Hugging Face cache, or give the path of an encoder's folder"});
  return {given, path};
}

std::int64_t choose_layer(const BertScoreOptions& options, const std::string& name,
                          const TextEncoderConfig& config) {
  if (options.bertscore_layer > config.num_hidden_layers)
    fail(ExitCode::kUsage,
         fmt::format("{} has {} layers, not {}", name, config.num_hidden_layers, options.bertscore_layer),
         "--bertscore_layer", "give a layer of the encoder");
  if (options.bertscore_layer > 0) return options.bertscore_layer;
  if (const auto* known = known_encoder(name); known && known->layer <= config.num_hidden_layers)
    return known->layer;
  for (const auto& entry : kDepthDefaults)
    if (config.model_type == entry.model_type && config.num_hidden_layers == entry.num_hidden_layers)
      return entry.layer;
  fail(ExitCode::kUsage, "no default layer is known for " + name, "--bertscore_layer",
       fmt::format("give one from 1 to {}", config.num_hidden_layers));
}

BertScore choose_baseline(const BertScoreOptions& options, const std::string& name, std::int64_t layer) {
  if (options.bertscore_baseline) return baseline_of_file(*options.bertscore_baseline, layer);
  const auto* known = known_encoder(name);
  if (options.bertscore_lang != "en" || !known || known->layer != layer || !known->baseline)
    fail_without_baseline(name, layer);
  return *known->baseline;
}

BertScore rescale(const BertScore& score, const BertScore& baseline) {
  const auto scaled = [](double value, double base) { return (value - base) / (1 - base); };
  return {scaled(score.precision, baseline.precision), scaled(score.recall, baseline.recall),
          scaled(score.f1, baseline.f1)};
}

}  // namespace anneal
