#include "data/example.h"

#include <gmock/gmock.h>

#include "data/load_examples.h"
#include "formats/bad_row.h"
#include "formats/jsonl.h"
#include "tests/data/byte_encoder.h"
#include "tests/data/scratch.h"

namespace anneal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

MadeExample made(std::string_view input, std::string_view output, const ExampleOptions& options,
                 const ByteEncoder& encoder = {}) {
  return ExampleMaker(encoder, options).make(input, output);
}

// Oracle: spec section 3.2, by hand.
TEST(Example, IsPromptOutputEnd) {
  const auto whole = made("ab", "xy", {});
  EXPECT_THAT(whole.example.ids, ElementsAre(kBos, 'a', 'b', 'x', 'y', kEos));
  EXPECT_EQ(whole.example.prompt_length, 3);
  EXPECT_EQ(whole.example.trained_tokens(), 3);
  EXPECT_THAT(made("a", "x$", {}).example.ids, ElementsAre(kBos, 'a', 'x', kEos));
  EXPECT_THAT(made("a$", "", {}).example.ids, ElementsAre(kBos, 'a', kEos, kEos));
  EXPECT_THAT(made("a", "x", {.add_eos = false}).example.ids, ElementsAre(kBos, 'a', 'x'));
}

// Oracle: by hand; "$" is a special token. What the tokenizer or the maker adds does not count.
TEST(Example, SpecialTokensInTextsAreCounted) {
  const auto specials = [](std::string_view input, std::string_view output) {
    return made(input, output, {.max_seq_length = 9}).example.specials_in_text;
  };
  EXPECT_EQ(specials("ab", "xy"), 0);
  EXPECT_EQ(specials("$a", "$x$"), 3);
  EXPECT_EQ(specials("a", "xyzxyzxyzxyz$"), 1) << "behind the cut too";
  ExampleBuffer buffer;
  for (const char* output : {"$", "x", "$$"}) buffer.append(made("a", output, {}).example);
  EXPECT_EQ(buffer.counts.specials_in_text, 3);
}

// Oracle: spec section 3.4, by hand; the limit is 5 tokens.
TEST(Example, OutputsAreCutWithoutAnEnd) {
  const ExampleOptions options{.max_seq_length = 5};
  EXPECT_EQ(made("a", "xy", options).outcome, ExampleOutcome::kWhole);
  const auto only_end = made("a", "xyz", options);
  EXPECT_EQ(only_end.outcome, ExampleOutcome::kTruncated);
  EXPECT_THAT(only_end.example.ids, ElementsAre(kBos, 'a', 'x', 'y', 'z'));
  EXPECT_THAT(made("a", "xyzw", options).example.ids, ElementsAre(kBos, 'a', 'x', 'y', 'z'));
  EXPECT_EQ(made("a", "xyz", {.max_seq_length = 5, .on_overlong_output = "drop"}).outcome,
            ExampleOutcome::kOverlong);
}

TEST(Example, LongPromptsAreDroppedOrCutAtTheLeft) {
  EXPECT_EQ(made("ab", "x", {.max_seq_length = 5}).outcome, ExampleOutcome::kWhole);
  EXPECT_EQ(made("abc", "x", {.max_seq_length = 5}).outcome, ExampleOutcome::kLongPrompt);
  const auto cut = made("abcdef", "xyz", {.max_seq_length = 5, .long_prompt = "left_truncate"});
  EXPECT_EQ(cut.outcome, ExampleOutcome::kTruncated);
  EXPECT_THAT(cut.example.ids, ElementsAre(kBos, 'e', 'f', 'x', 'y'));
  EXPECT_EQ(cut.example.prompt_length, 3);
  EXPECT_EQ(cut.prompt_tokens, 7);
  EXPECT_THAT(made("abc", "x", {.max_seq_length = 5, .long_prompt = "left_truncate"}).example.ids,
              ElementsAre(kBos, 'b', 'c', 'x', kEos));
  EXPECT_EQ(made("abc", "x", {.max_seq_length = 2, .long_prompt = "left_truncate"}).outcome,
            ExampleOutcome::kLongPrompt);
}

// Oracle: the first token of all has no position that predicts it.
TEST(Example, WithoutAPromptTheFirstTokenIsNotTrained) {
  ByteEncoder encoder;
  encoder.has_bos = false;
  const auto example = made("", "xy", {}, encoder).example;
  EXPECT_EQ(example.prompt_length, 0);
  EXPECT_EQ(example.trained_tokens(), 2);
  EXPECT_EQ(made("", "x", {.add_eos = false}, encoder).outcome, ExampleOutcome::kEmpty);
  EXPECT_EQ(made("a", "", {.add_eos = false}, encoder).outcome, ExampleOutcome::kEmpty);
}

using Ids = std::vector<std::int32_t>;

MadeExample made_chat(const RenderedChat& chat, const ExampleOptions& options = {}) {
  return ExampleMaker(ByteEncoder(), options).make(chat);
}

Ids ids_of(std::string_view text) { return ByteEncoder().encode_continuation(text); }

// Oracle: by hand; "." closes a turn.
TEST(Example, OfAChatTrainsItsTurns) {
  const auto whole = made_chat({"UUaa.VVVbb.W", {2, 5, 8, 11}, true});
  EXPECT_EQ(whole.outcome, ExampleOutcome::kWhole);
  EXPECT_EQ(whole.example.ids, ids_of("UUaa.VVVbb.")) << "what follows changes nothing";
  EXPECT_EQ(whole.example.prompt_length, 2);
  EXPECT_THAT(whole.example.untrained, ElementsAre(5, 8));
  EXPECT_EQ(whole.example.trained_tokens(), 6);
  EXPECT_TRUE(whole.example.has_end);
  EXPECT_EQ(made_chat({"UU", {}, false}).outcome, ExampleOutcome::kEmpty);
}

TEST(Example, AChatWithoutAClosingTokenGetsTheEndOnce) {
  EXPECT_EQ(made_chat({"Uaa", {1, 3}, false}).example.ids, ids_of("Uaa$"));
  EXPECT_EQ(made_chat({"Uaa$", {1, 4}, false}).example.ids, ids_of("Uaa$"));
  const auto followed = made_chat({"UaaV", {1, 3}, false});
  EXPECT_EQ(followed.example.ids, ids_of("Uaa"));
  EXPECT_FALSE(followed.example.has_end);
  EXPECT_EQ(made_chat({"Uaa", {1, 3}, false}, {.add_eos = false}).example.ids, ids_of("Uaa"));
}

// Oracle: by hand; the turns are [2, 5) and [8, 11), so that [5, 8) is not trained.
TEST(Example, ALongChatIsCutBehindATurn) {
  const RenderedChat chat{"UUaa.VVVbb.", {2, 5, 8, 11}, true};
  const auto cut = [&](std::int64_t limit, ExampleOptions options = {}) {
    options.max_seq_length = limit;
    return made_chat(chat, options);
  };
  EXPECT_EQ(cut(10).example.ids, ids_of("UUaa.VVVbb"));
  EXPECT_THAT(cut(10).example.untrained, ElementsAre(5, 8));
  EXPECT_FALSE(cut(10).example.has_end);
  for (const std::int64_t limit : {5, 6, 8}) EXPECT_EQ(cut(limit).example.ids, ids_of("UUaa.")) << limit;
  EXPECT_TRUE(cut(6).example.untrained.empty());
  EXPECT_EQ(cut(6).outcome, ExampleOutcome::kTruncated);
  EXPECT_EQ(cut(3).outcome, ExampleOutcome::kLongPrompt);
  EXPECT_EQ(cut(10, {.on_overlong_output = "drop"}).outcome, ExampleOutcome::kOverlong);
}

TEST(Example, EmptyTurnsOfAChat) {
  const auto chat = made_chat({"UaVW", {1, 2, 3, 3, 4, 4}, false}, {.add_eos = false});
  EXPECT_EQ(chat.example.ids, ids_of("Ua"));
  EXPECT_EQ(chat.example.trained_tokens(), 1);
}

TEST(Example, NoEndOfSequenceIsAnError) {
  ByteEncoder encoder;
  encoder.has_eos = false;
  try {
    made("a", "b", {}, encoder);
    FAIL();
  } catch (const UserError& error) {
    EXPECT_EQ(error.code(), ExitCode::kModel);
    EXPECT_THAT(error.what(), HasSubstr("--eos_token"));
  }
  EXPECT_EQ(made("a", "b", {.add_eos = false}, encoder).outcome, ExampleOutcome::kWhole);
}

class ExampleSetTest : public Scratch {
 protected:
  std::filesystem::path write_pairs(int count) {
    std::string text;
    for (int row = 0; row < count; ++row)
      append_text_pair(text, std::string(row % 13, 'p'), std::string(row % 7, 'o'));
    return write("pairs.jsonl", text);
  }
  ByteEncoder encoder_;
};

// Oracle: one row at a time through ExampleMaker.
TEST_F(ExampleSetTest, HoldsWhatTheMakerGives) {
  const auto path = write_pairs(1000);
  const ExampleOptions options{.max_seq_length = 10};
  const auto set = load_examples(path, encoder_, options, {});
  const ExampleMaker maker(encoder_, options);
  DataRowReader reader(path);
  DataRow pair;
  std::int64_t kept = 0, truncated = 0, trained = 0;
  for (std::int64_t row = 0; reader.next(pair); ++row) {
    const auto expected = maker.make(pair.input, pair.output);
    if (expected.outcome == ExampleOutcome::kLongPrompt) continue;
    const auto view = set[kept++];
    EXPECT_EQ(view.row, row);
    EXPECT_EQ(view.prompt_length, expected.example.prompt_length);
    EXPECT_EQ(view.trained_tokens(), expected.example.trained_tokens());
    EXPECT_TRUE(std::equal(view.ids.begin(), view.ids.end(), expected.example.ids.begin(),
                           expected.example.ids.end()));
    truncated += expected.outcome == ExampleOutcome::kTruncated;
    trained += view.trained_tokens();
  }
  EXPECT_EQ(set.size(), kept);
  EXPECT_EQ(set.counts().rows, 1000);
  EXPECT_EQ(set.counts().dropped.at("long_prompt"), 1000 - kept);
  EXPECT_EQ(set.counts().truncated, truncated);
  EXPECT_EQ(set.counts().trained_tokens, trained);
  EXPECT_EQ(set.counts().longest, 10);
  EXPECT_THAT(set.counts().first_dropped, ElementsAre(8, 9, 10, 11, 12));
}

// Oracle: the result of no threads.
TEST_F(ExampleSetTest, ThreadsDoNotChangeTheResult) {
  const auto path = write_pairs(5000);
  const auto alone = load_examples(path, encoder_, {}, {});
  for (const std::int64_t threads : {1, 2, 5}) {
    const auto together = load_examples(path, encoder_, {}, {.threads = threads});
    ASSERT_EQ(together.size(), alone.size());
    ASSERT_EQ(together.tokens(), alone.tokens());
    for (std::int64_t index = 0; index < alone.size(); ++index) {
      EXPECT_EQ(together[index].row, alone[index].row);
      EXPECT_TRUE(
          std::equal(together[index].ids.begin(), together[index].ids.end(), alone[index].ids.begin()));
    }
    EXPECT_EQ(together.counts().trained_tokens, alone.counts().trained_tokens);
  }
}

TEST_F(ExampleSetTest, FirstRowsLimitWhatIsRead) {
  const auto set = load_examples(write_pairs(300), encoder_, {}, {.first_rows = 200});
  EXPECT_EQ(set.counts().rows, 200);
  EXPECT_EQ(set.size(), 200);
}

// Oracle: the messages, by hand; the earliest bad line is named whatever the threads.
TEST_F(ExampleSetTest, ErrorsAreThoseOfTheEarliestRow) {
  std::string text;
  for (int row = 0; row < 2000; ++row)
    text += row % 500 == 499 ? "bad\n" : "{\"input\":\"a\",\"output\":\"b\"}\n";
  const auto path = write("bad.jsonl", text);
  const auto error = [&](const ExampleSetOptions& options, const ExampleOptions& example_options = {}) {
    try {
      load_examples(path, encoder_, example_options, options);
    } catch (const UserError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  for (const std::int64_t threads : {0, 4}) {
    EXPECT_THAT(error({.threads = threads}), HasSubstr("bad.jsonl:500 "));
    EXPECT_THAT(error({.threads = threads, .skip_bad_rows = 2}), HasSubstr("bad.jsonl:1500 "));
    EXPECT_EQ(error({.threads = threads, .skip_bad_rows = 4}), "no error");
    EXPECT_THAT(error({.threads = threads}, {.max_seq_length = 2, .long_prompt = "error"}),
                HasSubstr("bad.jsonl:1:"));
    EXPECT_THAT(error({.threads = threads, .skip_bad_rows = 4}, {.max_seq_length = 2}),
                HasSubstr("none of 2000 rows gives an example to train on (dropped: long_prompt 1996)"));
  }
  EXPECT_EQ(load_examples(path, encoder_, {}, {.skip_bad_rows = 4}).counts().skipped, 4);
}

TEST_F(ExampleSetTest, AChatWithoutAModelIsAnError) {
  const auto path = write("chats.jsonl", R"({"messages": [{"role": "user", "content": "x"}]})");
  EXPECT_THROW(load_examples(path, encoder_, {}, {}), UserError);
}

TEST_F(ExampleSetTest, OptionalFilesMayBeMissingOrEmpty) {
  EXPECT_EQ(load_examples(folder_ / "none.jsonl", encoder_, {}, {.required = false}).size(), 0);
  EXPECT_EQ(load_examples(write("empty.jsonl", ""), encoder_, {}, {.required = false}).size(), 0);
  EXPECT_THROW(load_examples(folder_ / "empty.jsonl", encoder_, {}, {}), UserError);
}

}  // namespace
}  // namespace anneal
