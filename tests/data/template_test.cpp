#include "data/template.h"

#include <gtest/gtest.h>

#include <map>

namespace anneal {
namespace {

std::string filled(std::string_view text, const std::map<std::string, std::string>& row,
                   TemplateEscapes escapes = TemplateEscapes::kNewline) {
  std::vector<Problem> problems;
  const auto parsed = Template::parse(text, escapes, "--flag", problems);
  EXPECT_TRUE(problems.empty()) << problems[0].problem;
  std::vector<std::string_view> values;
  for (const auto& name : parsed.fields()) values.push_back(row.at(name));
  std::string out;
  parsed.append_to(out, values);
  return out;
}

std::vector<Problem> problems_of(std::string_view text, TemplateEscapes escapes = TemplateEscapes::kNewline) {
  std::vector<Problem> problems;
  Template::parse(text, escapes, "--flag", problems);
  return problems;
}

// Oracle: CPython's str.format on the same text and values.
TEST(Template, FillsPlaceholders) {
  const std::map<std::string, std::string> row = {{"a", "1"}, {"b_2", "{a}"}, {"_c", ""}};
  EXPECT_EQ(filled("### {a}: {b_2}{_c}!{a}", row), "### 1: {a}!1");
  EXPECT_EQ(filled("{{\"k\": {a}}}", row), "{\"k\": 1}");
  EXPECT_EQ(filled("{{}}{{{a}}}", row), "{}{1}");
  EXPECT_EQ(filled("", row), "");
}

// Oracle: spec section 2.3 and decision 19, by hand.
TEST(Template, EscapesDependOnTheMode) {
  EXPECT_EQ(filled(R"(a\nb\\n\t\q\)", {}), "a\nb\\n\\t\\q\\");
  EXPECT_EQ(filled(R"(a\nb\t\r\\\"\u00e9\u007b\ud83d\ude00)", {}, TemplateEscapes::kC),
            "a\nb\t\r\\\"\xC3\xA9{\xF0\x9F\x98\x80");
  EXPECT_EQ(filled(R"(a\nb\\)", {}, TemplateEscapes::kNone), R"(a\nb\\)");
  EXPECT_EQ(filled("real\nline", {}), "real\nline");
}

// Oracle: by hand; columns count characters from 1.
TEST(Template, MistakesNameTheColumn) {
  const auto where = [](std::string_view text, TemplateEscapes escapes = TemplateEscapes::kNewline) {
    const auto problems = problems_of(text, escapes);
    return problems.size() == 1 ? problems[0].where : std::to_string(problems.size()) + " problems";
  };
  EXPECT_EQ(where("abc{"), "--flag, column 4");
  EXPECT_EQ(where("abc{name"), "--flag, column 4");
  EXPECT_EQ(where("\xC3\xA9\xE2\x82\xAC{0}"), "--flag, column 3");
  EXPECT_EQ(where("{a.}"), "--flag, column 1");
  EXPECT_EQ(where("{a..b}"), "--flag, column 1");
  EXPECT_EQ(where("{a!r}"), "--flag, column 1");
  EXPECT_EQ(where("x{}y"), "--flag, column 2");
  EXPECT_EQ(where("a}b"), "--flag, column 2");
  EXPECT_EQ(where(R"(ab\q)", TemplateEscapes::kC), "--flag, column 3");
  EXPECT_EQ(where(R"(ab\)", TemplateEscapes::kC), "--flag, column 3");
  EXPECT_EQ(where(R"(\ud800)", TemplateEscapes::kC), "--flag, column 1");
  EXPECT_EQ(where(R"(\u12)", TemplateEscapes::kC), "--flag, column 1");
}

TEST(Template, AllMistakesAreReported) { EXPECT_EQ(problems_of("} {0} }} }").size(), 3u); }

}  // namespace
}  // namespace anneal
