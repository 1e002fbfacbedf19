#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include "tests/tokenizer/small_model.h"

namespace anneal {
namespace {

using Ids = std::vector<std::int32_t>;

Json with_specials(Json json) {
  json["added_tokens"] = Json::parse(R"([
    {"id": 8, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
     "special": true},
    {"id": 9, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
     "special": true}])");
  json["post_processor"] = Json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "</s>", "type_id": 0}}],
    "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [8], "tokens": ["<s>"]},
                                   "</s>": {"id": "</s>", "ids": [9], "tokens": ["</s>"]}}})");
  return json;
}

Json with_dummy_prefix(Json json) {
  json["normalizer"] =
      Json::parse(R"({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]})");
  return json;
}

// Oracle: hand numbers.
TEST(Tokenizer, MergesByRank) {
  const auto tokenizer = load_tokenizer(small_tokenizer());
  EXPECT_EQ(tokenizer.encode("abcd"), (Ids{5, 3}));
  EXPECT_EQ(tokenizer.encode("aabb"), (Ids{0, 4, 1}));
  EXPECT_EQ(tokenizer.encode("axb"), (Ids{4}));  // without an unknown token, unknown characters vanish
  EXPECT_EQ(tokenizer.encode(""), Ids{});
  EXPECT_EQ(tokenizer.vocab_size(), 8);
  EXPECT_EQ(tokenizer.largest_id(), 7);
}

// Oracle: hand numbers. Found by fuzzing: who checks ids against an embedding asks for the largest one.
TEST(Tokenizer, TheLargestIdMayBeThePostProcessors) {
  auto json = small_tokenizer();
  json["post_processor"] = Json::parse(R"({"type": "BertProcessing", "cls": ["a", 40], "sep": ["b", 30]})");
  const auto tokenizer = load_tokenizer(json);
  EXPECT_EQ(tokenizer.encode("ab"), (Ids{40, 4, 30}));
  EXPECT_EQ(tokenizer.largest_id(), 40);
}

// Oracle: hand numbers; spec 3.2.
TEST(Tokenizer, PromptHasNoTrailingSpecials) {
  const auto tokenizer = load_tokenizer(with_specials(small_tokenizer()));
  EXPECT_EQ(tokenizer.encode("ab"), (Ids{8, 4, 9}));
  EXPECT_EQ(tokenizer.encode_prompt("ab"), (Ids{8, 4}));
  EXPECT_EQ(tokenizer.encode_continuation("ab"), (Ids{4}));
  EXPECT_EQ(tokenizer.encode("", {.add_special_tokens = true}), (Ids{8, 9}));
  EXPECT_EQ(tokenizer.leading_special_ids(), (Ids{8}));
  EXPECT_EQ(tokenizer.trailing_special_ids(), (Ids{9}));
}

// Oracle: equivalence: prompt then continuation is the text as a whole where no merge crosses the boundary.
TEST(Tokenizer, ContinuationHasNoDummyPrefix) {
  for (const bool metaspace : {false, true}) {
    Json json = metaspace ? small_tokenizer() : with_dummy_prefix(small_tokenizer());
    if (metaspace)
      json["pre_tokenizer"] = Json::parse(
          R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": false})");
    const auto tokenizer = load_tokenizer(json);
    EXPECT_EQ(tokenizer.encode("ab ab"), (Ids{6, 4, 6, 4}));
    EXPECT_EQ(tokenizer.encode("ad"), (Ids{7, 3}));
    EXPECT_EQ(tokenizer.encode_continuation("ab ad"), (Ids{4, 7, 3}));
    EXPECT_EQ(tokenizer.encode_continuation(" ad"), (Ids{7, 3}));
  }
}

TEST(Tokenizer, ContinuationAfterASpecialTokenIsAsInAnyText) {
  const auto tokenizer = load_tokenizer(with_dummy_prefix(with_specials(small_tokenizer())));
  EXPECT_EQ(tokenizer.encode_continuation("d<s>d"), (Ids{3, 8, 6, 3}));
}

TEST(Tokenizer, SpecialTextCanBePlain) {
  const auto tokenizer = load_tokenizer(with_specials(small_tokenizer()));
  EXPECT_EQ(tokenizer.encode_continuation("a<s>b"), (Ids{0, 8, 1}));
  EXPECT_EQ(tokenizer.encode_continuation("a<s>b", false), (Ids{4}));
  EXPECT_TRUE(tokenizer.is_special(8));
  EXPECT_FALSE(tokenizer.is_special(0));
}

// Oracle: the library gives ids of added tokens by the vocabulary and by order, whatever the file says.
TEST(Tokenizer, AddedTokensAreNumberedByOrder) {
  Json json = with_specials(small_tokenizer());
  json["added_tokens"][0]["id"] = 77;
  json["added_tokens"][1]["content"] = "ab";
  json["post_processor"] = nullptr;
  const auto tokenizer = load_tokenizer(json);
  EXPECT_EQ(tokenizer.token_to_id("<s>"), 8);
  EXPECT_EQ(tokenizer.encode("abc<s>"), (Ids{4, 2, 8}));
  EXPECT_EQ(tokenizer.vocab_size(), 9);
}

TEST(Tokenizer, NamesOfSpecialTokens) {
  const ModelFolder folder;
  folder.write("tokenizer.json", with_specials(small_tokenizer()).dump());
  folder.write("generation_config.json", R"({"eos_token_id": [3, 2], "bos_token_id": 1})");
  auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer.eos_id(), 3);
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.pad_id(), std::nullopt);
  folder.write("tokenizer_config.json",
               R"({"eos_token": {"content": "</s>"}, "bos_token": "<s>", "pad_token": null})");
  tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer.eos_id(), 9);
  EXPECT_EQ(tokenizer.bos_id(), 8);
  EXPECT_EQ(tokenizer.stop_ids(), (Ids{2, 3, 9}));
}

TEST(Tokenizer, LongWordsEqualShortOnesPieceByPiece) {
  const auto tokenizer = load_tokenizer(small_tokenizer());
  std::string text;
  Ids wanted;
  for (int i = 0; i < 5000; ++i) {
    text += "dabc";
    wanted.insert(wanted.end(), {3, 5});
  }
  EXPECT_EQ(tokenizer.encode(text), wanted);
}

TEST(Tokenizer, RefusesInvalidUtf8) {
  const auto tokenizer = load_tokenizer(small_tokenizer());
  try {
    tokenizer.encode("a\xFF");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_EQ(error.code(), ExitCode::kData);
    EXPECT_NE(std::string(error.what()).find("UTF-8"), std::string::npos);
  }
}

struct Cut {
  Ids ids;
  std::vector<std::size_t> counts;
  bool operator==(const Cut&) const = default;
};

Cut cut(const Tokenizer& tokenizer, std::string_view text, std::vector<std::size_t> cuts) {
  const auto [ids, counts] = tokenizer.encode_cut(text, cuts);
  return {ids, counts};
}

// Oracle: hand numbers. Where no token reaches over a cut, the ids are those of the whole.
TEST(Tokenizer, CutsCountTheIdsBeforeThem) {
  const auto tokenizer = load_tokenizer(with_specials(small_tokenizer()));
  EXPECT_EQ(cut(tokenizer, "abcd", {}), (Cut{{5, 3}, {}}));
  EXPECT_EQ(cut(tokenizer, "abcd", {0, 3, 4}), (Cut{{5, 3}, {0, 1, 2}}));
  EXPECT_EQ(cut(tokenizer, "<s>ab<s>", {3, 5, 8}), (Cut{{8, 4, 8}, {1, 2, 3}}));
  EXPECT_EQ(cut(tokenizer, "<s>ab<s>", {0, 1, 4, 6}), (Cut{{8, 0, 1, 8}, {0, 1, 2, 4}}));
  EXPECT_EQ(cut(tokenizer, "", {0}), (Cut{{}, {0}}));
}

// Oracle: what stands before a cut is what the text up to it gives alone, and the rest continues it.
TEST(Tokenizer, ATokenThatReachesOverACutIsTwo) {
  const auto tokenizer = load_tokenizer(small_tokenizer());
  EXPECT_EQ(cut(tokenizer, "abcd", {1}), (Cut{{0, 1, 2, 3}, {1}}));
  EXPECT_EQ(cut(tokenizer, "abcd", {2}), (Cut{{4, 2, 3}, {1}}));
  EXPECT_EQ(cut(tokenizer, "ababc", {1, 2, 4}), (Cut{{0, 1, 4, 2}, {1, 2, 3}}));
  const auto prefixed = load_tokenizer(with_dummy_prefix(small_tokenizer()));
  EXPECT_EQ(cut(prefixed, "aab", {2}), (Cut{{7, 0, 1}, {2}})) << "no space before what continues";
}

}  // namespace
}  // namespace anneal
