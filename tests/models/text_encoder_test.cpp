// What a text encoder refuses. Its numbers are compared with transformers in tests/eval/bert_score_test.py.
#include "models/text_encoder.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

const Json kBert = {{"model_type", "bert"},         {"vocab_size", 7},        {"hidden_size", 4},
                    {"intermediate_size", 6},       {"num_hidden_layers", 1}, {"num_attention_heads", 2},
                    {"max_position_embeddings", 9}, {"type_vocab_size", 2},   {"layer_norm_eps", 1e-12}};

TextEncoderConfig read(const Json& config) {
  const ScratchFolder folder;
  folder.write("config.json", config.dump());
  return read_text_encoder_config(folder.path());
}

void expect_refused(const std::string& key, const Json& value, const std::string& part) {
  Json config = kBert;
  config[key] = value;
  EXPECT_THAT(expect_user_error(ExitCode::kModel, part, [&] { read(config); }),
              testing::HasSubstr("config.json"));
}

TEST(TextEncoderConfig, Families) {
  EXPECT_EQ(read(kBert).max_tokens(), 9);
  Json roberta = kBert;
  roberta["model_type"] = "roberta";
  roberta["pad_token_id"] = 1;
  EXPECT_EQ(read(roberta).max_tokens(), 7);
  const auto distilbert = read({{"model_type", "distilbert"},
                                {"vocab_size", 7},
                                {"dim", 4},
                                {"hidden_dim", 6},
                                {"n_layers", 3},
                                {"n_heads", 2},
                                {"max_position_embeddings", 9},
                                {"activation", "gelu"}});
  EXPECT_EQ(distilbert.hidden_size, 4);
  EXPECT_EQ(distilbert.num_hidden_layers, 3);
  EXPECT_EQ(distilbert.type_vocab_size, 0);
  EXPECT_EQ(distilbert.max_tokens(), 9);
}

TEST(TextEncoderConfig, RefusesWhatItDoesNotKnow) {
  expect_refused("model_type", "t5", "t5");
  expect_refused("hidden_act", "relu", "relu");
  expect_refused("position_embedding_type", "relative_key", "relative_key");
  expect_refused("is_decoder", true, "is_decoder");
  expect_refused("hidden_size", 5, "number of heads");
  expect_refused("num_hidden_layers", 0, "num_hidden_layers");
  expect_refused("vocab_size", nullptr, "vocab_size");
  expect_refused("layer_norm_eps", "small", "layer_norm_eps");
}

TEST(TextEncoder, RefusesWeightsOfAnotherModel) {
  const ScratchFolder folder;
  folder.write("config.json", kBert.dump());
  const std::vector<float> zeros(8 * 4, 0.0f);
  const auto embedding_of = [&](std::int64_t rows) {
    const auto bytes = std::as_bytes(std::span(zeros).first(rows * 4));
    write_safetensors(folder / "model.safetensors",
                      {{"bert.embeddings.word_embeddings.weight", {DType::kFloat32, {rows, 4}, bytes}}});
  };
  const auto load = [&] { TextEncoder(folder.path(), 1, at::kFloat); };
  expect_user_error(ExitCode::kModel, "model.safetensors", load);
  embedding_of(8);
  EXPECT_THAT(expect_user_error(ExitCode::kModel, "[8, 4]", load), testing::HasSubstr("[7, 4]"));
  embedding_of(7);
  expect_user_error(ExitCode::kModel, "bert.embeddings.position_embeddings.weight", load);
}

}  // namespace
}  // namespace anneal
