// Rows of prepared files and of sources in JSON.
#include "data/row_source.h"
#include "formats/jsonl.h"
#include "formats/utf8.h"
#include "tests/fuzz/driver.h"

namespace anneal {
namespace {

constexpr std::int64_t kSkipped = 3;

// What was read can be written, and then reads the same.
void expect_round_trip(const DataRow& row) {
  std::string line;
  append_text_pair(line, row.input, row.output);
  expect(find_invalid_utf8(line) == line.npos, "a line that is written is UTF-8");
  expect(line.find('\n') == line.size() - 1, "a line that is written is one line");
  DataRowParser parser("written");
  line.pop_back();
  const auto again = parser.parse({.text = line, .number = 1});
  expect(again.input == row.input && again.output == row.output, "what is written reads the same");
}

void read_prepared(const std::filesystem::path& file) {
  DataRowReader reader(file, kSkipped);
  DataRow row;
  while (reader.next(row))
    if (row.chat.empty()) expect_round_trip(row);
}

void read_source(const std::filesystem::path& file, FileKind kind) {
  ColumnPicker columns({"input", "output", "a.b.0", "a.b"});
  BadRowBudget budget(kSkipped);
  const auto rows = open_rows({file, kind}, columns, file.parent_path());
  std::vector<Cell> cells;
  while (true) {
    try {
      if (!rows->next(cells)) return;
      for (const auto& cell : cells)
        expect(find_invalid_utf8(cell.text) == cell.text.npos, "a cell is UTF-8");
    } catch (const BadRow& row) {
      budget.spend(row);
    }
  }
}

void run(const std::filesystem::path& file, std::string_view) {
  bool is_refused = false;
  const auto also = [&](const auto& read) {
    try {
      read();
    } catch (const UserError&) {
      is_refused = true;
    }
  };
  also([&] { read_prepared(file); });
  also([&] { read_source(file, FileKind::kJson); });
  also([&] { read_source(file, FileKind::kJsonLines); });
  also([&] { read_source(file, FileKind::kCsv); });
  if (is_refused) fail(ExitCode::kData, "refused", file.string(), "");
}

}  // namespace

const FuzzTarget kFuzzTarget = {"input.jsonl",
                                {"{\"input\": \"",
                                 "\", \"output\": \"",
                                 "\"}\n",
                                 "\"messages\":",
                                 "\"role\":",
                                 "\"a\":",
                                 "\"b\":",
                                 "[",
                                 "]",
                                 "{",
                                 "}",
                                 ",",
                                 ":",
                                 "\"",
                                 "\\",
                                 "\\u",
                                 "\\ud800",
                                 "\\udc00",
                                 "\\u0000",
                                 "\n",
                                 "\r\n",
                                 "\xEF\xBB\xBF",
                                 "\xE2\x80\xA8",
                                 "null",
                                 "true",
                                 "-0",
                                 "1e400",
                                 "18446744073709551616",
                                 "123456789012345678901234567890",
                                 std::string(1, '\0')},
                                false,
                                run};

}  // namespace anneal
