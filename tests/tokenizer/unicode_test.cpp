#include "tokenizer/unicode.h"

#include <gtest/gtest.h>

#include "tokenizer/decoder.h"
#include "tokenizer/normal_forms.h"

namespace anneal {
namespace {

// Oracle: hand examples, among them characters on which Unicode versions differ.
TEST(Unicode, ClassesAreThoseOfTheLibrary) {
  const auto* flags = code_point_flags();
  EXPECT_TRUE(flags['a'] & kLetterFlag);
  EXPECT_TRUE(flags[0x1C89] & kLetterFlag);       // Cyrillic letter of Unicode 16
  EXPECT_FALSE(flags[0x180E] & kRegexSpaceFlag);  // a space before Unicode 6.3
  EXPECT_TRUE(flags[0x85] & kRegexSpaceFlag);
  EXPECT_TRUE(flags[0x2163] & kNumberFlag);
  EXPECT_TRUE(flags[0x301] & kMarkFlag);
}

TEST(Unicode, SetsObeyTheLawsOfSets) {
  const CodePointSet letters = property_set("L"), han = property_set("Han");
  EXPECT_EQ(complement(complement(letters)), letters);
  EXPECT_EQ(intersect(letters, complement(letters)), CodePointSet{});
  EXPECT_EQ(unite(letters, complement(letters)), (CodePointSet{{0, kCodePoints - 1}}));
  EXPECT_EQ(unite(unite(property_set("Lu"), property_set("Ll")),
                  unite(property_set("Lt"), unite(property_set("Lm"), property_set("Lo")))),
            letters);
  EXPECT_TRUE(property_set("Xx").empty());
  EXPECT_FALSE(han.empty());
}

TEST(Unicode, Utf8RoundTrip) {
  for (const char32_t c :
       {U'\0', U'a', U'\x7F', U'\x80', U'\x7FF', U'\x800', U'\xFFFF', U'\x10000', U'\x10FFFF'}) {
    const std::string text = to_utf8({&c, 1});
    EXPECT_TRUE(is_valid_utf8(text));
    EXPECT_EQ(to_code_points(text), std::u32string(1, c));
    EXPECT_EQ(utf8_length(text[0]), static_cast<int>(text.size()));
    EXPECT_EQ(previous_start(text, text.size()), 0u);
  }
}

// Oracle: Unicode standard, table 3-8 ("maximal subparts").
TEST(Unicode, RepairsIllFormedParts) {
  EXPECT_EQ(repair_utf8("a\xF1\x80\x80\xE1\x80\xC2"
                        "b"),
            "a\uFFFD\uFFFD\uFFFDb");
  EXPECT_EQ(repair_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(repair_utf8("\xC0\xAF\xE0\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(repair_utf8("\xF0\x9F\x99"), "\uFFFD");
  EXPECT_EQ(repair_utf8("ok"), "ok");
}

// Oracle: hand examples of Unicode Standard Annex 15.
TEST(NormalForms, Examples) {
  EXPECT_EQ(normalize("e\u0301", NormalForm::kNfc), "\u00E9");
  EXPECT_EQ(normalize("\u00E9", NormalForm::kNfd), "e\u0301");
  EXPECT_EQ(normalize("o\u0302\u0323", NormalForm::kNfc), "\u1ED9");
  EXPECT_EQ(normalize("\u1ED9", NormalForm::kNfd), "o\u0323\u0302");
  EXPECT_EQ(normalize("\uFB01\u00BD", NormalForm::kNfkc), "fi1\u20442");
  EXPECT_EQ(normalize("\u1100\u1161\u11A8", NormalForm::kNfc), "\uAC01");
  EXPECT_EQ(normalize("\uAC01", NormalForm::kNfkd), "\u1100\u1161\u11A8");
  EXPECT_EQ(normalize("\u212B", NormalForm::kNfc), "\u00C5");
  EXPECT_EQ(normalize("\u0958", NormalForm::kNfc), "\u0915\u093C");
}

// Oracle: equivalence: each form is idempotent and the four agree with each other.
TEST(NormalForms, LawsHoldForEveryCodePoint) {
  using enum NormalForm;
  for (char32_t c = 0; c < kCodePoints; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    const std::string text = "a" + to_utf8({&c, 1}) + "\u0301";
    const std::string nfc = normalize(text, kNfc), nfd = normalize(text, kNfd);
    ASSERT_EQ(normalize(nfd, kNfc), nfc) << static_cast<std::uint32_t>(c);
    ASSERT_EQ(normalize(nfc, kNfd), nfd) << static_cast<std::uint32_t>(c);
    ASSERT_EQ(normalize(normalize(text, kNfkd), kNfkc), normalize(text, kNfkc))
        << static_cast<std::uint32_t>(c);
  }
}

}  // namespace
}  // namespace anneal
