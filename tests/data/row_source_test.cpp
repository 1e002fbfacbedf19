#include "data/row_source.h"

#include <gmock/gmock.h>

#include "tests/data/scratch.h"

namespace anneal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RowSourceTest : public Scratch {
 protected:
  // The cells of the columns "a" and "b" of every row as "kind:text".
  std::vector<std::string> rows(const std::string& name, const std::string& content, std::int64_t skip = 0,
                                const std::vector<std::string>& wanted = {"a", "b"}) {
    ColumnPicker columns(wanted);
    const auto source = open_rows(row_file(write(name, content)), columns, folder_);
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

// Oracle: spec section 2.4 and Python's readlines(), by hand.
TEST_F(RowSourceTest, EveryLineOfATextIsARow) {
  EXPECT_THAT(rows("x.txt", "\xEF\xBB\xBFone\r\n\ntwo\rthree \xE2\x80\xA8\n", 0, {"text"}),
              ElementsAre("t:one|", "t:|", "t:two|", "t:three \xE2\x80\xA8|"));
  EXPECT_THAT(rows("x.txt", "a\nb", 0, {"text", "other", "text.0"}), ElementsAre("t:a|m:|m:|", "t:b|m:|m:|"));
  EXPECT_THAT(rows("x.txt", ""), ElementsAre());
  EXPECT_THAT(error("x.txt", "a\n\xFF\n"), HasSubstr("x.txt:2 (byte 2): the bytes are not UTF-8"));
}

// Oracle: the same walk in Python, by hand.
TEST_F(RowSourceTest, APathLeadsIntoAValue) {
  const std::string row = R"({"a": {"t": ["x", {"u": 1}], "7": "s", "n": null}, "a.t.0": null, "l": [5]})";
  const auto cells = [&](const std::vector<std::string>& wanted) {
    return rows("x.jsonl", row, 0, wanted).at(0);
  };
  EXPECT_EQ(cells({"a.t.1.u", "a.t.1", "l.0"}), "o:1|o:{\"u\":1}|o:5|");
  EXPECT_EQ(cells({"a.7", "a.n.x", "a.t.9", "a.x", "l.-1", "l.x"}), "t:s|n:|m:|m:|m:|m:|");
  EXPECT_EQ(cells({"a.t.0"}), "n:|") << "the column of that name goes before a path";
  EXPECT_THAT(rows("x.jsonl", "{\"a\":{\"b\":1},\"a.b\":2}\n{\"a.b\":2,\"a\":{\"b\":1}}\n{\"a\":{\"b\":1}}",
                   0, {"a.b"}),
              ElementsAre("o:2|", "o:2|", "o:1|"));
  EXPECT_THAT(error("x.jsonl", "{\"a\":{\"b\":1},\"a\":{\"b\":1}}"), HasSubstr("stands twice"));
  EXPECT_THAT(rows("x.csv", "a.b,a\n1,2\n", 0, {"a.b", "a", "a.c"}), ElementsAre("t:1|t:2|m:|"));
}

// Oracle: CPython's csv.reader with that delimiter.
TEST_F(RowSourceTest, TabsSeparateToo) {
  EXPECT_THAT(rows("x.tsv", "a\tb\n1,5\t\"x\ty\"\n"), ElementsAre("t:1,5|t:x\ty|"));
}

}  // namespace
}  // namespace anneal
