#include "formats/json_object.h"

#include <gtest/gtest.h>

namespace anneal {
namespace {

std::string compact(const std::string& object_text, const std::string& key) {
  JsonObjectParser parser;
  std::string text;
  for (const auto field : parser.parse(object_text, 0))
    if (field.key == key) append_json(text, field.value);
  return text;
}

JsonDefect defect_of(const std::string& text) {
  JsonObjectParser parser;
  try {
    parser.parse(text, 0);
  } catch (const JsonDefect& defect) {
    return defect;
  }
  return {0, "no defect"};
}

// Oracle: CPython 3.11, json.dumps(value, ensure_ascii=False, separators=(",", ":")).
TEST(JsonObject, WritesCompactJsonAsPythonDoes) {
  EXPECT_EQ(compact(R"({"v": [1, 2.50, -0.0, true, null, "a\"b", {"k": []}]})", "v"),
            R"([1,2.5,-0.0,true,null,"a\"b",{"k":[]}])");
  EXPECT_EQ(compact(R"({"v": "\u00e9\u2028\u0001\n\\/"})", "v"), "\"\xC3\xA9\xE2\x80\xA8\\u0001\\n\\\\/\"");
  EXPECT_EQ(compact(R"({"v": 18446744073709551615})", "v"), "18446744073709551615");
}

// Oracle: a byte at a time.
TEST(JsonObject, EscapesAtEveryPlaceOfAWord) {
  const auto escaped = [](const std::string& value) {
    std::string text;
    append_json_string(text, value);
    return text;
  };
  for (int byte = 0; byte < 256; ++byte) {
    const std::string alone = escaped(std::string(1, static_cast<char>(byte)));
    const auto one = alone.substr(1, alone.size() - 2);
    const bool is_escaped = byte < 0x20 || byte == '"' || byte == '\\';
    EXPECT_EQ(one.size() > 1, is_escaped) << byte;
    for (std::size_t length = 0; length < 20; ++length)
      for (std::size_t place = 0; place <= length; ++place) {
        const std::string before(place, '\x7F'), after(length - place, '\xFF');
        EXPECT_EQ(escaped(before + static_cast<char>(byte) + after), "\"" + before + one + after + "\"");
      }
  }
}

// Oracle: CPython 3.11, repr(float).
TEST(JsonObject, WritesFloatsAsPythonDoes) {
  const auto written = [](double value) {
    std::string text;
    append_float(text, value);
    return text;
  };
  EXPECT_EQ(written(1), "1.0");
  EXPECT_EQ(written(0.1), "0.1");
  EXPECT_EQ(written(1e15), "1000000000000000.0");
  EXPECT_EQ(written(1e16), "1e+16");
  EXPECT_EQ(written(0.0001), "0.0001");
  EXPECT_EQ(written(0.00001), "1e-05");
  EXPECT_EQ(written(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(written(-123456.789), "-123456.789");
}

// Oracle: by hand, byte offsets counted from 0.
TEST(JsonObject, SaysWhereAndWhatIsWrong) {
  EXPECT_EQ(defect_of("").reason, "the row is empty");
  EXPECT_EQ(defect_of("[1]").reason, "the value is not a JSON object");
  EXPECT_EQ(defect_of("12").reason, "the value is not a JSON object");
  EXPECT_EQ(defect_of("{\"a\": \"x\xFF\"}").reason, "the bytes are not UTF-8");
  EXPECT_EQ(defect_of("{\"a\": \"x\xFF\"}").offset, 8u);
  EXPECT_EQ(defect_of(R"({"a": 1 "b": 2})").offset, 8u + 2);
  EXPECT_NE(defect_of(R"({"a": 1 "b": 2})").reason.find("not valid JSON"), std::string::npos);
  EXPECT_NE(defect_of(R"({"a": "\ud800"})").reason.find("surrogate"), std::string::npos);
  EXPECT_NE(defect_of(R"({"a": "\udc00"})").reason.find("surrogate"), std::string::npos);
  EXPECT_NE(defect_of(std::string("{\"a\": \"x\0y\"}", 12)).reason.find("control character"),
            std::string::npos);
  EXPECT_TRUE(defect_of(R"({"a": 123456789012345678901234567890})").only_a_large_number);
}

// Oracle: a stack that holds for 100 levels, and a refusal instead of a crash for a million.
TEST(JsonObject, NestingIsLimited) {
  const auto nested = [](std::size_t levels) {
    return "{\"a\":" + std::string(levels, '[') + std::string(levels, ']') + "}";
  };
  EXPECT_EQ(defect_of(nested(90)).reason, "no defect");
  EXPECT_EQ(defect_of(nested(200)).reason, "JSON is nested deeper than 100 levels");
  EXPECT_EQ(defect_of(nested(1000000)).reason, "JSON is nested deeper than 100 levels");
  EXPECT_EQ(defect_of("{\"a\":" + std::string(1000000, '[')).reason, "JSON is nested deeper than 100 levels");
}

}  // namespace
}  // namespace anneal
