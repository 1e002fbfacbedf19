#include "formats/jsonl.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

namespace anneal {
namespace {

class Jsonl : public testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() / ("jsonl_test." + std::to_string(::getpid()));
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::vector<std::pair<std::string, std::string>> read(const std::string& content, std::int64_t skip = 0) {
    write_file_atomically(path_, content);
    DataRowReader reader(path_, skip);
    std::vector<std::pair<std::string, std::string>> pairs;
    DataRow pair;
    while (reader.next(pair)) pairs.emplace_back(pair.input, pair.output);
    skipped_ = reader.bad_rows().skipped();
    return pairs;
  }

  // The message for a file whose second line is `line`.
  std::string error(const std::string& line) {
    try {
      read("{\"input\":\"a\",\"output\":\"b\"}\n" + line + "\n{\"input\":\"c\",\"output\":\"d\"}\n");
    } catch (const UserError& error) {
      EXPECT_EQ(error.code(), ExitCode::kData);
      return error.what();
    }
    return "no error";
  }

  std::filesystem::path path_;
  std::int64_t skipped_ = 0;
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

// Oracle: spec section 2.4, by hand.
TEST_F(Jsonl, ReadsWhatOthersWrite) {
  EXPECT_EQ(read("\xEF\xBB\xBF{\"input\": \"a\", \"output\": "
                 "\"b\"}\r\n{\"output\":\"d\",\"x\":[1],\"input\":\"c\"}"),
            (Pairs{{"a", "b"}, {"c", "d"}}));
  EXPECT_EQ(read("{\"input\":\"a\xE2\x80\xA8\xC2\x85\",\"output\":\"\\ud83d\\ude00\"}\n"),
            (Pairs{{"a\xE2\x80\xA8\xC2\x85", "\xF0\x9F\x98\x80"}}));
  EXPECT_EQ(read("{\"input\":\"a\",\"output\":\"b\",\"id\":123456789012345678901234567890}\n"),
            (Pairs{{"a", "b"}}));
  EXPECT_EQ(read(""), Pairs{});
}

// Oracle: the message, by hand; line 1 has 27 bytes and its line end.
TEST_F(Jsonl, BadLinesNameFileLineOffsetAndReason) {
  const auto place = path_.string() + ":2 (byte ";
  EXPECT_NE(error("{\"input\":\"a\",").find(place + "40"), std::string::npos) << error("{\"input\":\"a\",");
  EXPECT_NE(error("[1]").find(place + "27): the value is not a JSON object"), std::string::npos)
      << error("[1]");
  EXPECT_NE(error("").find("the row is empty"), std::string::npos);
  EXPECT_NE(error("{\"input\":\"a\"}").find("the key \"output\" is missing"), std::string::npos);
  EXPECT_NE(error("{\"output\":\"a\"}").find("the key \"input\" is missing"), std::string::npos);
  EXPECT_NE(error("{\"input\":\"a\",\"output\":1}").find("the value of \"output\" is not a string"),
            std::string::npos);
  EXPECT_NE(error("{\"input\":null,\"output\":\"\"}").find("the value of \"input\" is not a string"),
            std::string::npos);
  EXPECT_NE(error("{\"input\":\"a\",\"input\":\"b\",\"output\":\"\"}").find("stands twice"),
            std::string::npos);
  EXPECT_NE(error("{\"input\":\"\xC3\",\"output\":\"\"}").find(place + "37): the bytes are not UTF-8"),
            std::string::npos);
  EXPECT_NE(error("{\"input\":\"\\ud800\",\"output\":\"\"}").find("surrogate"), std::string::npos);
  EXPECT_NE(error(std::string("{\"input\":\"\0\"}", 13)).find("not valid JSON"), std::string::npos);
  EXPECT_NE(error("x").find("--skip_bad_rows"), std::string::npos);
}

// Oracle: by hand.
TEST_F(Jsonl, BudgetSkipsThatManyAndNoMore) {
  const std::string content = "x\n{\"input\":\"a\",\"output\":\"b\"}\n[]\n";
  EXPECT_EQ(read(content, 2), (Pairs{{"a", "b"}}));
  EXPECT_EQ(skipped_, 2);
  EXPECT_THROW(read(content, 1), BadRow);
}

// Oracle: every cut of a good file gives the whole lines or an error, never a crash or half a text.
TEST_F(Jsonl, TruncationIsAlwaysSeen) {
  const std::string content =
      "{\"input\":\"a\\u00e9\",\"output\":\"\xE2\x82\xAC\"}\n{\"input\":\"b\",\"output\":\"c\"}\n";
  const auto first_line = content.find('\n');
  for (std::size_t size = 0; size < content.size(); ++size) {
    const auto cut = content.substr(0, size);
    if (size == 0 || size == first_line || size == first_line + 1 || size == content.size() - 1)
      EXPECT_EQ(read(cut).size(), size == 0 ? 0u : size <= first_line + 1 ? 1u : 2u);
    else
      EXPECT_THROW(read(cut), BadRow) << size;
  }
}

// Oracle: CPython 3.11, json.dumps({"input": ..., "output": ...}, ensure_ascii=False).
TEST_F(Jsonl, WritesAsPythonDoes) {
  std::string text;
  append_text_pair(text, "a\"\\\b\f\n\r\t\x01/\x7F", "\xC3\xA9\xE2\x80\xA8");
  EXPECT_EQ(text,
            "{\"input\": \"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001/\x7F\", \"output\": \"\xC3\xA9\xE2\x80\xA8\"}\n");
  EXPECT_EQ(read(text), (Pairs{{"a\"\\\b\f\n\r\t\x01/\x7F", "\xC3\xA9\xE2\x80\xA8"}}));
}

TEST_F(Jsonl, AMissingFileIsNamed) {
  try {
    DataRowReader reader("/nowhere/x.jsonl");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_EQ(error.code(), ExitCode::kData);
    EXPECT_NE(std::string(error.what()).find("/nowhere/x.jsonl"), std::string::npos);
  }
}

// Oracle: by hand; a pair stays a pair whatever other keys it has.
TEST_F(Jsonl, ChatsAreGivenWhole) {
  const std::string chat = R"({"tools": [], "messages": [{"role": "user", "content": null}]})";
  write_file_atomically(path_, chat + "\r\n{\"messages\":1,\"input\":\"a\",\"output\":\"b\"}\n");
  DataRowReader reader(path_);
  DataRow row;
  ASSERT_TRUE(reader.next(row));
  EXPECT_EQ(row.chat, chat);
  ASSERT_TRUE(reader.next(row));
  EXPECT_EQ(row.chat, "");
  EXPECT_EQ(row.output, "b");
}

TEST_F(Jsonl, BadChatsNameWhatIsWrong) {
  const auto problem = [&](const std::string& messages) { return error("{\"messages\": " + messages + "}"); };
  EXPECT_NE(problem("\"x\"").find("the value of \"messages\" is not an array"), std::string::npos);
  EXPECT_NE(problem("[]").find("there are no messages"), std::string::npos);
  EXPECT_NE(problem("[{\"role\":\"user\"}, 1]").find("message 1 is not an object"), std::string::npos);
  EXPECT_NE(problem("[{\"role\": 1}]").find("message 0 has no text \"role\""), std::string::npos);
  EXPECT_NE(problem("[{\"role\":\"user\"}], \"n\": 123456789012345678901234567890").find("64 bits"),
            std::string::npos);
  EXPECT_NE(error("{\"messages\": [{\"role\":\"user\"}], \"output\": \"x\"}").find("\"input\" is missing"),
            std::string::npos);
}

}  // namespace
}  // namespace anneal
