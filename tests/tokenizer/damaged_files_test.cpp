// Oracle: spec 3.8: what is not supported or damaged ends with exit code 4 and a message that names it.
#include <gtest/gtest.h>

#include "tests/tokenizer/small_model.h"

namespace anneal {
namespace {

void expect_refused(const std::string& text, const std::vector<std::string>& mentioned) {
  const ModelFolder folder;
  folder.write("tokenizer.json", text);
  try {
    Tokenizer::load(folder.path());
    FAIL() << text;
  } catch (const UserError& error) {
    EXPECT_EQ(error.code(), ExitCode::kModel);
    const std::string message = error.what();
    EXPECT_NE(message.find("tokenizer.json"), std::string::npos) << message;
    for (const auto& part : mentioned) EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

void expect_refused_with(const char* pointer, const char* value, const std::vector<std::string>& mentioned) {
  Json json = small_tokenizer();
  json[Json::json_pointer(pointer)] = Json::parse(value);
  expect_refused(json.dump(), mentioned);
}

TEST(TokenizerFile, MissingFolderAndFile) {
  try {
    Tokenizer::load("/nonexistent/model");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_EQ(error.code(), ExitCode::kModel);
    EXPECT_NE(std::string(error.what()).find("/nonexistent/model"), std::string::npos);
  }
  const ModelFolder folder;
  EXPECT_THROW(Tokenizer::load(folder.path()), UserError);
}

TEST(TokenizerFile, UnsupportedComponents) {
  expect_refused_with("/model", R"({"type": "WordLevel", "vocab": {}})", {"WordLevel"});
  expect_refused_with("/model", R"({"type": "Unigram", "vocab": []})", {"Unigram"});
  expect_refused_with("/model", R"({"unk_token": "x", "vocab": {}})", {"neither BPE nor WordPiece", "model"});
  expect_refused_with("/normalizer", R"({"type": "Precompiled"})", {"Precompiled", "normalizer"});
  expect_refused_with("/normalizer",
                      R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Nmt"}]})",
                      {"Nmt", "normalizers[1]"});
  expect_refused_with("/pre_tokenizer", R"({"type": "UnicodeScripts"})", {"UnicodeScripts"});
  expect_refused_with("/post_processor", R"({"type": "Novel"})", {"Novel", "post_processor"});
  expect_refused_with("/decoder", R"({"type": "CTC"})", {"CTC", "decoder"});
  expect_refused_with("/model/dropout", "0.1", {"dropout"});
  expect_refused_with("/model/continuing_subword_prefix", R"("##")", {"continuing_subword_prefix"});
  expect_refused_with("/model/end_of_word_suffix", R"("</w>")", {"end_of_word_suffix"});
}

TEST(TokenizerFile, DamagedWordPiece) {
  const auto model = [](const std::string& vocabulary, const std::string& rest) {
    return R"({"type": "WordPiece", "vocab": )" + vocabulary + rest + "}";
  };
  const std::string options = R"(, "unk_token": "u", "max_input_chars_per_word": 9)";
  const std::string prefix = R"(, "continuing_subword_prefix": "##")";
  expect_refused_with("/model", model(R"({"u": 0})", options).c_str(), {"continuing_subword_prefix"});
  expect_refused_with("/model", model(R"({"a": 0})", options + prefix).c_str(), {"unknown token \"u\""});
  expect_refused_with("/model", model(R"({"u": -1})", options + prefix).c_str(), {"vocab", "-1"});
  expect_refused_with("/model", model("[]", options + prefix).c_str(), {"vocab", "not an object"});
}

TEST(TokenizerFile, UnsupportedPatterns) {
  const auto refused = [](const std::string& pattern, const std::string& mentioned) {
    Json json = small_tokenizer();
    json["pre_tokenizer"] = {
        {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
    expect_refused(json.dump(), {mentioned, "pre_tokenizer"});
  };
  refused("(a)\\1", "\\1");
  refused("(?<name>a)", "group");
  refused("\\p{Klingon}", "Klingon");
  refused("[[:alpha:]]", "POSIX");
  refused("(?i:gro\xC3\x9F)", "ASCII");
  refused("(?i:first)", "ligature");
  refused("(", "unfinished");
  refused("a)", "unmatched");
  refused("[a", "unfinished");
  refused("(?<=a+)b", "PCRE2");
  refused("\\Xa", "\\X");
}

TEST(TokenizerFile, DamagedFiles) {
  const std::string whole = small_tokenizer().dump();
  expect_refused(whole.substr(0, whole.size() / 2), {});
  expect_refused("", {});
  expect_refused("[]", {"object"});
  expect_refused("{}", {"model"});
  expect_refused(whole + "\xFF", {});
  expect_refused_with("/model/merges/0", R"("a b c")", {"merge 0", "a b c"});
  expect_refused_with("/model/merges/1", R"(["a"])", {"merge 1"});
  expect_refused_with("/model/merges/1", R"(["a", "z"])", {"\"z\""});
  expect_refused_with("/model/merges/1", R"(["a", "c"])", {"\"ac\""});
  expect_refused_with("/model/vocab/a", "-1", {"\"a\"", "-1"});
  expect_refused_with("/model/vocab/a", "99999999999", {"99999999999"});
  expect_refused_with("/model/vocab", "[]", {"vocab"});
  expect_refused_with("/added_tokens", R"([{"id": 1}])", {"content", "added_tokens[0]"});
  expect_refused_with("/added_tokens", "3", {"added_tokens"});
  expect_refused_with("/normalizer", R"({"type": "Prepend"})", {"prepend"});
  expect_refused_with("/normalizer", R"({"type": 3})", {"type"});
  expect_refused_with("/normalizer", R"("NFC")", {"normalizer"});
  expect_refused_with("/post_processor", R"({"type": "RobertaProcessing", "sep": 3, "cls": 4})", {"cls"});
  expect_refused_with("/post_processor",
                      R"({"type": "RobertaProcessing", "sep": ["a", 0], "cls": ["a", -1]})",
                      {"-1 is not an id", "cls"});
  for (const char* id : {"-1", "4294967296", "1.5", "null"})
    expect_refused_with(
        "/post_processor",
        (R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "a"}}, {"Sequence": {"id": "A"}}],
            "special_tokens": {"a": {"ids": [)" +
         std::string(id) + "]}}}")
            .c_str(),
        {std::string(id) + " is not an id", "special_tokens.a"});
}

}  // namespace
}  // namespace anneal
