// Templates with mapping and escapes, and the rows that they make. An input is parts with NUL between them: a
// letter for the kind of escapes, the mapping, the input template, the output template, and texts of cells.
#include <optional>

#include "data/row_renderer.h"
#include "formats/jsonl.h"
#include "formats/utf8.h"
#include "tests/fuzz/driver.h"

namespace anneal {
namespace {

std::vector<std::string> parts_of(std::string_view input) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= input.size();) {
    const auto end = std::min(input.find('\0', start), input.size());
    parts.emplace_back(input.substr(start, end - start));
    start = end + 1;
  }
  parts.resize(std::max<std::size_t>(parts.size(), 5));
  return parts;
}

DatasetOptions options_of(const std::vector<std::string>& parts) {
  DatasetOptions options;
  options.template_escapes = parts[0] == "c" ? "c" : parts[0] == "x" ? "none" : "newline";
  options.hfdc_field_mapping = parts[1];
  options.hfdc_input_template = parts[2];
  options.hfdc_output_template = parts[3];
  options.keep_empty_output = true;
  return options;
}

void run(const std::filesystem::path& file, std::string_view input) {
  const auto parts = parts_of(input);
  const auto options = options_of(parts);
  std::vector<Problem> problems;
  options.validate(problems);
  if (!problems.empty()) throw UserError(ExitCode::kUsage, problems);
  auto format = row_format(options, problems);
  expect(problems.empty(), "validate() finds every mistake of templates and mapping");
  const auto renderer = make_row_renderer(options, std::move(format));
  std::vector<Cell> cells(renderer->columns().wanted());
  for (std::size_t cell = 0; cell < cells.size(); ++cell) {
    const auto& text = parts[4 + cell % (parts.size() - 4)];
    if (find_invalid_utf8(text) == text.npos) cells[cell] = {text, CellKind::kText};  // as sources promise
  }
  std::string line;
  const std::string source = file.string();
  if (!renderer->render(cells, {source, 0}, line)) return;
  expect(line.find('\n') == line.size() - 1, "a row is one line");
  line.pop_back();
  DataRowParser(source).parse({.text = line, .number = 1});
}

}  // namespace

const FuzzTarget kFuzzTarget = {"input.template",
                                {"{",
                                 "}",
                                 "{{",
                                 "}}",
                                 "{a}",
                                 "{b.c.0}",
                                 "{instruction}",
                                 "\\n",
                                 "\\\\",
                                 "\\u",
                                 "\\u00e9",
                                 "\\ud83d\\ude00",
                                 "\\\"",
                                 "{\"a\": \"b\"}",
                                 "{\"a\": 1}",
                                 "\"",
                                 ":",
                                 ",",
                                 std::string(1, '\0'),
                                 std::string("c\0", 2),
                                 std::string("x\0", 2),
                                 "\xC3\xA9",
                                 "\xFF"},
                                false,
                                run};

}  // namespace anneal
