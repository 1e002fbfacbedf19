#include "tokenizer/regex.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "tokenizer/word_splitter.h"

namespace anneal {
namespace {

std::vector<std::string> found(const std::string& pattern, std::string_view text) {
  std::vector<Match> matches;
  Regex(pattern).find_all(text, matches);
  std::vector<std::string> out;
  for (const auto& match : matches) out.emplace_back(text.substr(match.begin, match.end - match.begin));
  return out;
}

using Texts = std::vector<std::string>;

// Oracle: hand examples.
TEST(Regex, FindsWhatOnigurumaFinds) {
  EXPECT_EQ(found("a+?b{,2}", "aabbb"), (Texts{"a", "abb"}));
  EXPECT_EQ(found("(?i:'s|K)", "'S 's '\u017F k \u212A"), (Texts{"'S", "'s", "'\u017F", "k", "\u212A"}));
  EXPECT_EQ(found("\\h+", "xyz12afg"), (Texts{"12af"}));
  EXPECT_EQ(found("[\\p{L}&&[^a-y]]+", "aZz\u00E9b"), (Texts{"Zz\u00E9"}));
  EXPECT_EQ(found("^a|b$", "a\na b\nb"), (Texts{"a", "a", "b", "b"}));
  EXPECT_EQ(found(".+", "a\nb\rc"), (Texts{"a", "b\rc"}));
  EXPECT_EQ(found("x*", "axb"), (Texts{"", "x", ""}));
  EXPECT_EQ(found("\\bthe\\b", "the then _the the"), (Texts{"the", "the"}));
  EXPECT_EQ(found("(?<=a)b", "abb"), (Texts{"b"}));
  EXPECT_EQ(found("a{2}?", "aaa"), found("(?:a{2})?", "aaa"));  // not lazy: the whole is optional
}

TEST(Regex, LiteralIsNotAPattern) {
  std::vector<Match> matches;
  Regex::literal("a.").find_all("aba.a.", matches);
  ASSERT_EQ(matches.size(), 2u);
  EXPECT_EQ(matches[0].begin, 2u);
  EXPECT_EQ(matches[1].end, 6u);
}

std::string random_text(std::uint64_t seed) {
  static constexpr std::string_view kPieces[] = {
      "a",      "B",      "'s",     "'LL",        "'\u017F", "'",      " ",       "  ",
      "\n",     "\r\n",   "\t",     "1",          "23",      "\u00E9", "e\u0301", "\u4E2D\u6587",
      "\u0301", "\u2163", "\u00A0", ".",          "!?",      "/",      "_",       "\u1C89",
      "'",      "\u180E", "\u3000", "\U0001F642", "\u0E01",  "'re",    "'v",      "9",
      "-",      "\u00BD", "\u0085", "d"};
  std::string text;
  for (std::uint64_t i = 0; i < 1 + splitmix64(seed) % 40; ++i)
    text += kPieces[mix(seed, i) % std::size(kPieces)];
  return text;
}

// Oracle: equivalence: the hand-written matchers against PCRE2, to which a group around the pattern leads.
TEST(Regex, HandWrittenMatchersEqualPcre) {
  const std::string tail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const std::string head = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
  const std::string marks = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?)"
                            R"([^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  for (const std::string& pattern : {std::string(WordSplitter::kGpt2Pattern), head + R"(\p{N})" + tail,
                                     head + R"(\p{N}{1,3})" + tail, head + R"(\p{N}+)" + tail, marks}) {
    ASSERT_TRUE(WordSplitter::for_pattern(pattern)) << pattern;
    const Regex by_hand(pattern), by_pcre("(?:" + pattern + ")");
    EXPECT_TRUE(by_hand.covers_all_text());
    EXPECT_FALSE(by_pcre.covers_all_text());
    for (std::uint64_t seed = 0; seed < 2000; ++seed) {
      const std::string text = random_text(seed);
      std::vector<Match> ours, theirs;
      by_hand.find_all(text, ours);
      by_pcre.find_all(text, theirs);
      ASSERT_EQ(ours.size(), theirs.size()) << text;
      for (std::size_t i = 0; i < ours.size(); ++i) ASSERT_EQ(ours[i].end, theirs[i].end) << text;
    }
  }
}

}  // namespace
}  // namespace anneal
