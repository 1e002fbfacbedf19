#include "data/row_source.h"

#include <gmock/gmock.h>

#include "data/source_files.h"
#include "tests/data/scratch.h"

namespace anneal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RowSourceTest : public Scratch {
 protected:
  // The cells of the columns "a" and "b" of every row as "kind:text".
  std::vector<std::string> rows(const std::string& name, const std::string& content, std::int64_t skip = 0) {
    ColumnPicker columns({"a", "b"});
    const auto source = open_rows(write(name, content), columns);
    BadRowBudget budget(skip);
    std::vector<std::string> rows;
    std::vector<Cell> cells;
    while (true) {
      try {
        if (!source->next(cells)) break;
      } catch (const BadRow& row) {
        budget.spend(row);
        continue;
      }
      std::string text;
      for (const auto& cell : cells)
        text += std::string(1, "mnto"[static_cast<int>(cell.kind)]) + ":" + cell.text + "|";
      rows.push_back(text);
    }
    names_ = columns.names();
    return rows;
  }

  std::string error(const std::string& name, const std::string& content) {
    try {
      rows(name, content);
    } catch (const UserError& error) {
      EXPECT_EQ(error.code(), ExitCode::kData);
      return error.what();
    }
    return "no error";
  }

  std::vector<std::string> names_;
};

// Oracle: spec section 2.3, by hand.
TEST_F(RowSourceTest, ValuesOfEveryKind) {
  EXPECT_THAT(
      rows("x.jsonl",
           "{\"a\":\"t\",\"b\":null}\n\n{\"c\":1,\"b\":[1, {\"k\": \"v\"}]}\r\n{\"a\":true,\"b\":2.50}"),
      ElementsAre("t:t|n:|", "m:|o:[1,{\"k\":\"v\"}]|", "o:true|o:2.5|"));
  EXPECT_THAT(names_, ElementsAre("a", "b", "c"));
}

// Oracle: the same rows as an array, with text that looks like JSON inside strings.
TEST_F(RowSourceTest, ArrayIsCutIntoItsElements) {
  EXPECT_THAT(
      rows("x.json", "\xEF\xBB\xBF [\n {\"a\": \"x]},{\\\"\\\\\", \"b\": {\"k\": [1]}} ,\n{\"a\":\n2}\n] \n"),
      ElementsAre("t:x]},{\"\\|o:{\"k\":[1]}|", "o:2|m:|"));
  EXPECT_THAT(rows("x.json", " [ ] "), ElementsAre());
  EXPECT_THAT(rows("x.json", "{\"a\":1}\n{\"a\":2}\n"), ElementsAre("o:1|m:|", "o:2|m:|"));
}

TEST_F(RowSourceTest, DamagedJsonNamesThePlace) {
  EXPECT_THAT(error("x.jsonl", "{\"a\":1}\n{\"a\":\n"), HasSubstr("x.jsonl:2 (byte 13): not valid JSON"));
  EXPECT_THAT(error("x.jsonl", "[{\"a\":1}]\n"), HasSubstr("not a JSON object"));
  EXPECT_THAT(error("x.jsonl", "{\"a\":1,\"a\":2}"), HasSubstr("the key \"a\" stands twice"));
  EXPECT_THAT(error("x.json", "[{\"a\":1},\n{\"a\":2}"),
              HasSubstr("x.json:2 (byte 10): the array is not closed"));
  EXPECT_THAT(error("x.json", "[{\"a\":1},\n{\"a\":\"2}]"), HasSubstr("the array is not closed"));
  EXPECT_THAT(error("x.json", "[{\"a\":1}] x"), HasSubstr("text after the array"));
  EXPECT_THAT(error("x.json", "[{\"a\":1},\n\n3]"),
              HasSubstr("x.json:3 (byte 11): the value is not a JSON object"));
  EXPECT_THAT(error("x.json", "[{\"a\":1},\n{\"b\":\n?}]"), HasSubstr("x.json:3 (byte 16): not valid JSON"));
  EXPECT_THAT(error("x.json", "[{\"a\":1},]"), HasSubstr("the row is empty"));
  EXPECT_THAT(rows("x.json", "[{\"a\":1},x,{\"a\":2}]", 1), ElementsAre("o:1|m:|", "o:2|m:|"));
}

// Oracle: CPython's csv.reader on the same text.
TEST_F(RowSourceTest, CsvAsInRfc4180) {
  EXPECT_THAT(rows("x.csv",
                   "\xEF\xBB\xBF"
                   "b,a,c\r\n1,\"two\nlines, \"\"quoted\"\"\",3\r\n\r\n,,\n\"\",x\"y,\n4,5,6"),
              ElementsAre("t:two\nlines, \"quoted\"|t:1|", "t:|t:|", "t:x\"y|t:|", "t:5|t:4|"));
  EXPECT_THAT(names_, ElementsAre("b", "a", "c"));
  EXPECT_THAT(rows("x.csv", "a\n"), ElementsAre());
}

TEST_F(RowSourceTest, DamagedCsvNamesThePlace) {
  EXPECT_THAT(error("x.csv", "a,b\n1,2\n\"3\n4\",5,6\n"),
              HasSubstr("x.csv:3 (byte 8): the row has 3 fields, the header 2"));
  EXPECT_THAT(error("x.csv", "a,b\n1\n"), HasSubstr("x.csv:2 (byte 4): the row has 1 fields"));
  EXPECT_THAT(error("x.csv", "a,b\n1,\"x\n\n"), HasSubstr("x.csv:2 (byte 6): a quoted field is not closed"));
  EXPECT_THAT(error("x.csv", "a,b\n1,\"x\"y\n"), HasSubstr("text follows the closing quotation mark"));
  EXPECT_THAT(error("x.csv", "a,b\n1,\xFF\n"), HasSubstr("x.csv:2 (byte 6): the bytes are not UTF-8"));
  EXPECT_THAT(error("x.csv", "a,a\n"), HasSubstr("\"a\" stands twice in the header"));
  EXPECT_THAT(error("x.csv", ""), HasSubstr("no header row"));
  EXPECT_THAT(rows("x.csv", "a,b\n1,2\n3\n4,5\n", 1), ElementsAre("t:1|t:2|", "t:4|t:5|"));
}

class SourceFilesTest : public Scratch {
 protected:
  std::vector<std::string> files(const std::string& split = "train") {
    std::vector<std::string> names;
    for (const auto& path : find_source_files(folder_.string(), "", split, false).files)
      names.push_back(path.filename().string());
    return names;
  }

  std::string error(const std::string& name, const std::string& config = "",
                    const std::string& split = "train") {
    try {
      find_source_files(name, config, split, false);
    } catch (const UserError& error) {
      return error.what();
    }
    return "no error";
  }
};

// Oracle: spec section 2.1, by hand.
TEST_F(SourceFilesTest, AFolderIsReadByName) {
  write("b.jsonl", "");
  write("a.csv", "");
  write("notes.md", "");
  write(".hidden.jsonl", "");
  EXPECT_THAT(files(), ElementsAre("a.csv", "b.jsonl"));
}

// Oracle: `datasets`, with which prepare_test.py compares such folders.
TEST_F(SourceFilesTest, NamesTellSplitsApart) {
  write("train-00001.jsonl", "");
  write("train-00000.jsonl", "");
  write("my_test.jsonl", "");
  write("contest.jsonl", "");
  EXPECT_THAT(files(), ElementsAre("train-00000.jsonl", "train-00001.jsonl"));
  EXPECT_THAT(files("test"), ElementsAre("my_test.jsonl"));
  EXPECT_THAT(error(folder_.string(), "", "validation"), HasSubstr("name one of: test, train"));
}

TEST_F(SourceFilesTest, WhatCannotBeReadIsNamed) {
  EXPECT_THAT(error(write("x.parquet", "")), HasSubstr("does not read .parquet files yet"));
  EXPECT_THAT(error(folder_.string()), HasSubstr("does not read .parquet files yet"));
  EXPECT_THAT(error(write("x.bin", "")), HasSubstr("cannot be told from its name"));
  EXPECT_THAT(error(write("x.jsonl", ""), "subset"), HasSubstr("no subset \"subset\""));
  EXPECT_THAT(error("org/name"), HasSubstr("does not read datasets from the hub yet"));
  EXPECT_THAT(error("./nowhere"), HasSubstr("no such file or folder"));
  std::filesystem::create_symlink(folder_ / "loop", folder_ / "loop");
  EXPECT_THAT(error((folder_ / "loop").string()), HasSubstr("cannot open"));
}

TEST_F(SourceFilesTest, LinksAndOddNamesAreFollowed) {
  const auto target = write("a folder %=\xC3\xA9/x.jsonl", "");
  std::filesystem::create_symlink(target.parent_path(), folder_ / "link");
  EXPECT_EQ(find_source_files((folder_ / "link").string(), "", "train", false).files.size(), 1u);
}

}  // namespace
}  // namespace anneal
