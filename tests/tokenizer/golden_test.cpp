// Oracle: tests/golden/tokenizer/goldens.json, made with the `tokenizers` library.
#include <gtest/gtest.h>

#include <thread>

#include "tests/tokenizer/small_model.h"

namespace anneal {
namespace {

using Ids = std::vector<std::int32_t>;

const Json& goldens() {
  static const Json json =
      read_json_file(ANNEAL_SOURCE_DIR "/tests/golden/tokenizer/goldens.json", ExitCode::kInternal);
  return json;
}

Json tokenizer_json(const Json& golden) {
  Json json = golden.at("tokenizer");
  json["model"] = goldens().at("models").at(golden.at("model").get<std::size_t>());
  return json;
}

TEST(TokenizerGolden, EncodesAndDecodesAsTheLibrary) {
  ASSERT_GT(goldens().at("goldens").size(), 10u);
  for (const auto& golden : goldens().at("goldens")) {
    SCOPED_TRACE(golden.at("name").get<std::string>());
    const Tokenizer tokenizer = load_tokenizer(tokenizer_json(golden));
    for (const auto& example : golden.at("cases")) {
      const auto text = example.at("text").get<std::string>();
      const Ids ids = example.at("ids").get<Ids>();
      EXPECT_EQ(tokenizer.encode(text), ids) << text;
      EXPECT_EQ(tokenizer.encode(text, {.add_special_tokens = false, .special_in_text = false}),
                example.at("without_specials").get<Ids>())
          << text;
      EXPECT_EQ(tokenizer.decode(ids, false), example.at("decoded").get<std::string>());
      EXPECT_EQ(tokenizer.decode(ids, true), example.at("skipped").get<std::string>());
      Ids some(ids.begin() + !ids.empty(), ids.end());  // as in make.py
      some.push_back(1000000);
      some.insert(some.end(), ids.begin(), ids.begin() + ids.size() / 2);
      EXPECT_EQ(tokenizer.decode(some, false), example.at("some_decoded").get<std::string>());
    }
  }
}

TEST(TokenizerGolden, ThreadsShareOneTokenizer) {
  const Json& golden = goldens().at("goldens").at(1);
  const Tokenizer tokenizer = load_tokenizer(tokenizer_json(golden));
  std::vector<int> failures(4, 0);
  std::vector<std::thread> threads;
  for (auto& failed : failures)
    threads.emplace_back([&] {
      for (const auto& example : golden.at("cases"))
        failed += tokenizer.encode(example.at("text").get<std::string>()) != example.at("ids").get<Ids>();
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace anneal
