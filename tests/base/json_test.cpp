#include "base/json.h"

#include "tests/support/scratch_folder.h"
#include "tests/support/user_error.h"

namespace anneal {
namespace {

using testing::HasSubstr;

Json parse(const std::string& text) { return parse_json(text, "place.json", ExitCode::kModel); }
std::string error_of(const std::string& text) {
  return expect_user_error(ExitCode::kModel, "place.json", [&] { parse(text); });
}
std::string nested(int levels) { return std::string(levels, '[') + std::string(levels, ']'); }

// Oracle: hand-written values.
TEST(Json, ReadsValues) {
  const Json json = parse(R"({"b": [1, 2.5, null], "a": "ä\n"})");
  EXPECT_EQ(json.at("b").at(1), 2.5);
  EXPECT_EQ(json.at("a"), "ä\n");
  EXPECT_EQ(parse("3"), 3);
}

// Oracle: the order of the text, and the order of the alphabet.
TEST(Json, OrderedKeepsTheOrderAndPlainSorts) {
  const std::string text = R"({"z":1,"a":{"y":2,"b":3}})";
  EXPECT_EQ(parse_ordered_json(text, "place", ExitCode::kModel).dump(), text);
  EXPECT_EQ(parse(text).dump(), R"({"a":{"b":3,"y":2},"z":1})");
}

// Oracle: the text of the error.
TEST(Json, RefusesAKeyThatStandsTwice) {
  EXPECT_THAT(error_of(R"({"a": 1, "b": 2, "a": 3})"), HasSubstr("the key \"a\" stands twice"));
  EXPECT_THAT(error_of(R"([{"x": {"k": 1, "k": 1}}])"), HasSubstr("the key \"k\" stands twice"));
  EXPECT_THAT(error_of(R"({"\u0061": 1, "a": 3})"), HasSubstr("the key \"a\" stands twice"));
  expect_user_error(ExitCode::kData, "stands twice",
                    [] { parse_ordered_json(R"({"a": 1, "a": 1})", "p", ExitCode::kData); });
}

// Oracle: the same key in two objects is two keys.
TEST(Json, AllowsAKeyInSeveralObjects) {
  EXPECT_EQ(parse(R"([{"k": 1}, {"k": 2, "o": {"k": 3}}])")[1]["o"]["k"], 3);
  EXPECT_EQ(parse(R"({"a": {"a": 1}, "b": {"a": 2}})")["b"]["a"], 2);
}

// Oracle: the byte counted by hand, from zero.
TEST(Json, NamesTheByteOfADamage) {
  EXPECT_THAT(error_of(R"({"a": })"), HasSubstr("not valid JSON at byte 6"));
  EXPECT_THAT(error_of("[1, 2"), HasSubstr("not valid JSON at byte 5"));
  EXPECT_THAT(error_of(""), HasSubstr("not valid JSON at byte 0"));
  EXPECT_THAT(error_of("[1] x"), HasSubstr("not valid JSON at byte 4"));
  EXPECT_THAT(error_of("[\"\xff\"]"), HasSubstr("not valid JSON at byte 2"));
}

// Oracle: the text of the error; JSON has no such numbers.
TEST(Json, RefusesNumbersBeyondDouble) {
  EXPECT_THAT(error_of(R"({"rate": 1e999})"), HasSubstr("not valid JSON"));
  EXPECT_THAT(error_of("[NaN]"), HasSubstr("not valid JSON at byte 1"));
}

// Oracle: the stated limit of 100 levels.
TEST(Json, RefusesDeepNesting) {
  EXPECT_NO_THROW(parse(nested(100)));
  EXPECT_THAT(error_of(nested(5000)), HasSubstr("nested too deeply"));
  EXPECT_THAT(error_of(std::string(100'000, '[')), HasSubstr("nested too deeply"));
}

// Oracle: the text of the error.
TEST(Json, RequiredNamesMissingAndWronglyTypedKeys) {
  const Json json = parse(R"({"count": 3, "name": "x", "none": null})");
  const auto integer = [&](const char* key) {
    return required<std::int64_t>(json, key, "place.json", ExitCode::kModel);
  };
  EXPECT_EQ(integer("count"), 3);
  expect_user_error(ExitCode::kModel, "the key \"absent\" is missing", [&] { integer("absent"); });
  expect_user_error(ExitCode::kModel, "the key \"none\" is missing", [&] { integer("none"); });
  expect_user_error(ExitCode::kModel, "the key \"name\" has the wrong type: \"x\"", [&] { integer("name"); });
  const Json numbers = parse(R"({"half": 2.5, "yes": true, "whole": 2})");
  for (const char* key : {"half", "yes"})
    expect_user_error(ExitCode::kModel, "has the wrong type",
                      [&] { required<std::int64_t>(numbers, key, "place.json", ExitCode::kModel); });
  expect_user_error(ExitCode::kModel, "has the wrong type: true",
                    [&] { required<double>(numbers, "yes", "place.json", ExitCode::kModel); });
  EXPECT_EQ(required<double>(numbers, "whole", "place.json", ExitCode::kModel), 2.0);
}

// Oracle: hand-written values.
TEST(Json, OptionalFallsBackOnMissingAndNullOnly) {
  const Json json = parse(R"({"count": 3, "name": "x", "none": null})");
  const auto integer = [&](const char* key) {
    return optional<std::int64_t>(json, key, 7, "place.json", ExitCode::kModel);
  };
  EXPECT_EQ(integer("count"), 3);
  EXPECT_EQ(integer("absent"), 7);
  EXPECT_EQ(integer("none"), 7);
  expect_user_error(ExitCode::kModel, "wrong type", [&] { integer("name"); });
}

// Oracle: the text of the error holds the path.
TEST(Json, FileErrorsNameThePath) {
  const ScratchFolder folder;
  folder.write("good.json", "{\"a\": 1}");
  folder.write("bad.json", "{");
  EXPECT_EQ(read_json_file(folder / "good.json", ExitCode::kUsage).at("a"), 1);
  expect_user_error(ExitCode::kUsage, (folder / "bad.json").string(),
                    [&] { read_json_file(folder / "bad.json", ExitCode::kUsage); });
  expect_user_error(ExitCode::kUsage, (folder / "none.json").string(),
                    [&] { read_json_file(folder / "none.json", ExitCode::kUsage); });
}

}  // namespace
}  // namespace anneal
