#include "data/token_cache.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <set>
#include <thread>

#include "data/folder_lock.h"
#include "data/token_files.h"
#include "formats/jsonl.h"
#include "tests/data/byte_encoder.h"
#include "tests/data/scratch.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class CountingEncoder : public ByteEncoder {
 public:
  std::vector<std::int32_t> encode_continuation(std::string_view text) const override {
    ++calls;
    return ByteEncoder::encode_continuation(text);
  }
  mutable std::atomic<int> calls = 0;
};

class TokenCache : public Scratch {
 protected:
  void SetUp() override {
    Scratch::SetUp();
    std::string text;
    for (int row = 0; row < 40; ++row)
      append_text_pair(text, std::string(row % 5, 'p'), std::string(row % 7, row % 5 == 2 ? '$' : 'o'));
    data_ = write("data/training.jsonl", text);
    write("model/tokenizer.json", "{}");
  }

  ExampleSet load(const ExampleOptions& options = {.max_seq_length = 9}, const ExampleSetOptions& set = {}) {
    encoder_.calls = 0;
    log_.clear();
    return load_kept_examples(data_, {data_sha256_, folder_ / "model"}, encoder_, options, set,
                              [&](const std::string& line) { log_ += line + "\n"; });
  }

  std::vector<fs::path> kept() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_ / "data/tokens"))
      if (entry.path().extension() != ".lock") files.push_back(entry.path());
    return files;
  }

  fs::path data_;
  std::string data_sha256_ = std::string(64, '1');
  CountingEncoder encoder_;
  std::string log_;
};

void expect_same(const ExampleSet& one, const ExampleSet& other) {
  ASSERT_EQ(one.size(), other.size());
  for (std::int64_t index = 0; index < one.size(); ++index) {
    const auto a = one[index], b = other[index];
    EXPECT_TRUE(std::equal(a.ids.begin(), a.ids.end(), b.ids.begin(), b.ids.end()));
    EXPECT_TRUE(std::equal(a.untrained.begin(), a.untrained.end(), b.untrained.begin(), b.untrained.end()));
    EXPECT_EQ(a.prompt_length, b.prompt_length);
    EXPECT_EQ(a.row, b.row);
  }
  const auto &a = one.counts(), &b = other.counts();
  EXPECT_EQ(std::tie(a.rows, a.dropped, a.first_dropped, a.truncated, a.skipped, a.trained_tokens, a.ended,
                     a.longest, a.specials_in_text),
            std::tie(b.rows, b.dropped, b.first_dropped, b.truncated, b.skipped, b.trained_tokens, b.ended,
                     b.longest, b.specials_in_text));
}

// Oracle: load_examples().
TEST_F(TokenCache, TheSecondLoadTokenizesNothing) {
  const ExampleOptions options{.max_seq_length = 9};
  const auto first = load(options);
  expect_same(first, load_examples(data_, ByteEncoder(), options, {}));
  EXPECT_GT(first.counts().truncated, 0);
  EXPECT_GT(first.counts().specials_in_text, 0);
  ASSERT_EQ(kept().size(), 1u);
  const auto content = content_of(kept()[0]);
  const auto second = load(options);
  expect_same(first, second);
  EXPECT_EQ(encoder_.calls, 0);
  EXPECT_THAT(log_, HasSubstr("tokens of " + data_.string() + " from " + kept()[0].string()));
  EXPECT_EQ(content_of(kept()[0]), content);
}

// Oracle: each of these is part of what the tokens depend on.
TEST_F(TokenCache, WhatTokensDependOnGetsAFileOfItsOwn) {
  std::set<fs::path> seen;
  const auto expect_another = [&](const char* what, const ExampleOptions& options = {.max_seq_length = 9},
                                  const ExampleSetOptions& set = {}) {
    load(options, set);
    EXPECT_GT(encoder_.calls, 0) << what;
    const auto before = seen.size();
    for (const auto& file : kept()) seen.insert(file);
    EXPECT_EQ(seen.size(), before + 1) << what;
  };
  expect_another("first");
  expect_another("length", {.max_seq_length = 8});
  expect_another("end", {.max_seq_length = 9, .add_eos = false});
  expect_another("first rows", {.max_seq_length = 9}, {.first_rows = 3});
  expect_another("bad rows", {.max_seq_length = 9}, {.skip_bad_rows = 3});
  data_sha256_ = std::string(64, '2');
  expect_another("data");
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json",
        "additional_chat_templates/tool_use.jinja", "additional_chat_templates/chat_template.jinja"}) {
    write(fs::path("model") / name, "{\"changed\": 1}");
    expect_another(name);
  }
  load({.max_seq_length = 9}, {.threads = 3});
  EXPECT_EQ(encoder_.calls, 0) << "threads change nothing";
}

// Oracle: the undamaged file, whichever byte is changed.
TEST_F(TokenCache, ADamagedFileIsMadeAgain) {
  const auto whole = load();
  const auto file = kept()[0];
  const auto content = content_of(file);
  const auto expect_rebuilt = [&](const std::string& damaged) {
    write(file, damaged);
    expect_same(load(), whole);
    EXPECT_GT(encoder_.calls, 0);
    EXPECT_THAT(log_, HasSubstr("notice: " + file.string() + " is damaged or of another version"));
    EXPECT_EQ(content_of(file), content);
  };
  for (std::size_t at = 0; at < content.size(); at += at < 700 ? 13 : 97) {
    // Between the arrays there is nothing to damage.
    auto damaged = content;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write(file, damaged);
    expect_same(load(), whole);
    EXPECT_TRUE(encoder_.calls > 0 || content[at] == 0) << at;
    write(file, content);
  }
  expect_rebuilt(content.substr(0, content.size() / 2));
  expect_rebuilt(content.substr(0, 50));
  expect_rebuilt("");
  auto other_version = content;
  ++other_version[8];
  expect_rebuilt(other_version);
}

TEST_F(TokenCache, WhatAnEndedProcessLeftGoes) {
  load();
  const auto file = kept()[0];
  fs::remove(file);
  write(file.string() + ".partial.1", "half");
  load();
  EXPECT_EQ(kept(), std::vector{file});
}

// Oracle: names by hand.
TEST_F(TokenCache, TokensOfOtherDataGo) {
  load();
  const auto first = kept()[0];
  for (const char* name : {"training-0123456789abcdef",             // of an earlier version
                           "training-11111111-0123456789abcdef",    // of other data
                           "training-0123456789abcdef.partial.1"})  // of a process that was ended
    write(fs::path("data/tokens") / name, "old");
  const std::set<std::string> others = {"training-1-notes", "validation-0123456789abcdef", "notes"};
  for (const auto& name : others) write(fs::path("data/tokens") / name, "mine");
  data_sha256_ = std::string(64, '2');
  load();
  EXPECT_THAT(log_, HasSubstr("note: removed old tokens from " + (folder_ / "data/tokens").string()));
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_ / "data/tokens"))
    names.insert(entry.path().filename().string());
  for (const auto& name : others) EXPECT_EQ(names.erase(name), 1u) << name;
  EXPECT_EQ(names.size(), 2u) << "the new one and its lock";
  EXPECT_FALSE(fs::exists(first));
  load();
  EXPECT_EQ(encoder_.calls, 0);
}

// Oracle: the examples themselves, after what would have removed them.
TEST_F(TokenCache, WhatIsInUseStays) {
  auto held = std::make_optional(load());
  auto mapped = std::make_optional(load());  // as another process would
  const auto file = kept()[0];
  held.reset();
  data_sha256_ = std::string(64, '2');
  load();
  EXPECT_TRUE(fs::exists(file));
  expect_same(*mapped, load_examples(data_, ByteEncoder(), {.max_seq_length = 9}, {}));
  mapped.reset();
  {
    const FolderLock made_just_now(file);
    ASSERT_TRUE(made_just_now.is_held());
    load({.max_seq_length = 8});
    EXPECT_TRUE(fs::exists(file));
  }
  load({.max_seq_length = 7});
  EXPECT_FALSE(fs::exists(file));
}

// Oracle: which were used last, by hand.
TEST_F(TokenCache, OfTheSameDataTheLastUsedStay) {
  const auto with_length = [&](std::int64_t length) {
    load({.max_seq_length = length});
    return encoder_.calls > 0;
  };
  const auto grow_older = [&] {
    for (const auto& file : kept())
      fs::last_write_time(file, fs::last_write_time(file) - std::chrono::hours(1));
  };
  for (std::int64_t length = 20; length < 20 + static_cast<std::int64_t>(kKeptTokenFiles); ++length) {
    EXPECT_TRUE(with_length(length));
    grow_older();
  }
  EXPECT_FALSE(with_length(20)) << "all are there, and this one is used again";
  EXPECT_TRUE(with_length(50));
  EXPECT_EQ(kept().size(), kKeptTokenFiles);
  EXPECT_FALSE(with_length(20));
  EXPECT_FALSE(with_length(22));
  EXPECT_TRUE(with_length(21)) << "the one that was unused for longest went";
}

TEST_F(TokenCache, WhereNothingCanBeWrittenTokensStayInMemory) {
  write("data/tokens", "a file in the place of the folder");
  const auto examples = load();
  expect_same(examples, load_examples(data_, ByteEncoder(), {.max_seq_length = 9}, {}));
  EXPECT_THAT(log_, HasSubstr("are not kept for the next run"));
  EXPECT_EQ(content_of(folder_ / "data/tokens"), "a file in the place of the folder");
}

// Oracle: the calls of one load alone.
TEST_F(TokenCache, OfSeveralAtOnceOneMakesThem) {
  const auto alone = load();
  const int calls = encoder_.calls;
  fs::remove_all(folder_ / "data/tokens");
  encoder_.calls = 0;
  std::vector<ExampleSet> sets(4);
  std::vector<std::thread> threads;
  for (auto& set : sets)
    threads.emplace_back([&] {
      set = load_kept_examples(data_, {data_sha256_, folder_ / "model"}, encoder_, {.max_seq_length = 9}, {},
                               [](const std::string&) {});
    });
  for (auto& thread : threads) thread.join();
  for (const auto& set : sets) expect_same(set, alone);
  EXPECT_EQ(encoder_.calls, calls);
}

TEST_F(TokenCache, AMissingFileThatIsNotRequired) {
  fs::remove(data_);
  EXPECT_EQ(load({}, {.required = false}).size(), 0);
  EXPECT_FALSE(fs::exists(folder_ / "data/tokens"));
}

}  // namespace
}  // namespace anneal
