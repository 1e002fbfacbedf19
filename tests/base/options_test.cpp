#include "base/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/option_text.h"
#include "tests/support/scratch_folder.h"

namespace anneal {
namespace {

struct Inner {
  double rate = 0.5;
  static void fields(auto& c, auto field) {
    field("rate", c.rate, "A rate.", FieldTraits{.minimum = 0, .maximum = 1, .exclusive_maximum = true});
  }
};

struct Sample {
  std::int64_t count = 3;
  bool remove_columns = false;
  std::string mode = "auto";
  std::optional<std::int64_t> limit;
  std::string mapping = "{}";
  std::vector<std::string> stop;
  Inner inner;
  static void fields(auto& c, auto field) {
    field("count", c.count, "A count.", FieldTraits{.minimum = 1});
    field("remove_columns", c.remove_columns, "A switch.");
    field("mode", c.mode, "A choice.", FieldTraits{.choices = {"auto", "on", "off"}});
    field("limit", c.limit, "A limit.");
    field("mapping", c.mapping, "A map.", FieldTraits{.json_text = true});
    field("stop", c.stop, "A list.");
    field("inner", c.inner, "");
  }
};

struct Parsed {
  Sample sample;
  std::vector<Problem> problems;
  std::vector<std::string> warnings;
  std::set<std::string> given;
};

Parsed parse(std::vector<std::string> arguments) {
  Parsed parsed;
  OptionTable table(parsed.sample);
  parsed.given = table.parse(arguments, parsed.problems, parsed.warnings);
  return parsed;
}

// Oracle: spec section 1.0, by hand.
TEST(Options, AcceptsBothFormsOfAFlag) {
  const auto parsed = parse({"--count", "7", "--rate=0.25", "--mode=on", "--limit", "-4"});
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_EQ(parsed.sample.count, 7);
  EXPECT_EQ(parsed.sample.inner.rate, 0.25);
  EXPECT_EQ(parsed.sample.mode, "on");
  EXPECT_EQ(parsed.sample.limit, -4);
  EXPECT_EQ(parsed.given, (std::set<std::string>{"count", "limit", "mode", "rate"}));
}

TEST(Options, DashAndUnderscoreAreTheSame) { EXPECT_TRUE(parse({"--remove-columns"}).sample.remove_columns); }

TEST(Options, BooleansTakeThreeForms) {
  EXPECT_TRUE(parse({"--remove_columns=true"}).sample.remove_columns);
  EXPECT_FALSE(parse({"--remove_columns", "False"}).sample.remove_columns);
  EXPECT_FALSE(parse({"--remove_columns", "--no_remove_columns"}).sample.remove_columns);
}

TEST(Options, LastOccurrenceWinsWithAWarning) {
  const auto parsed = parse({"--count=4", "--count=5"});
  EXPECT_EQ(parsed.sample.count, 5);
  ASSERT_EQ(parsed.warnings.size(), 1u);
  EXPECT_NE(parsed.warnings[0].find("--count"), std::string::npos);
}

TEST(Options, ReportsAllProblemsAtOnce) {
  const auto parsed = parse({"--count=1.5", "--rate=nan", "--mode=maybe", "--countt=2", "stray", "--limit"});
  ASSERT_EQ(parsed.problems.size(), 6u);
  EXPECT_EQ(parsed.problems[0].where, "--countt");
  EXPECT_NE(parsed.problems[0].remedy.find("--count"), std::string::npos);
}

TEST(Options, ChecksRanges) {
  EXPECT_EQ(parse({"--count=0"}).problems.size(), 1u);
  EXPECT_EQ(parse({"--rate=1"}).problems.size(), 1u);
  EXPECT_EQ(parse({"--rate=0"}).problems.size(), 0u);
  EXPECT_EQ(parse({"--count=99999999999999999999"}).problems.size(), 1u);
}

TEST(Options, PrefixesAreNotAccepted) { EXPECT_EQ(parse({"--coun=4"}).problems.size(), 1u); }

TEST(Options, LoadGivesBackWhatToJsonWrote) {
  Sample written{.count = 9, .remove_columns = true, .mode = "off", .limit = 2, .mapping = "{\"a\":1}"};
  Sample read;
  OptionTable(read).load(OptionTable(written).to_json(), "test");
  EXPECT_EQ(OptionTable(read).to_json(), OptionTable(written).to_json());
  EXPECT_EQ(read.limit, 2);
}

// Oracle: the contract by hand: a list grows with each flag, and flags replace what a file says.
TEST(Options, AListTakesEveryOccurrence) {
  const auto parsed = parse({"--stop", "a", "--stop=", "--stop=--b"});
  EXPECT_TRUE(parsed.problems.empty());
  EXPECT_TRUE(parsed.warnings.empty());
  EXPECT_EQ(parsed.sample.stop, (std::vector<std::string>{"a", "", "--b"}));
  EXPECT_TRUE(parsed.given.count("stop"));
}

TEST(Options, FlagsReplaceTheListOfAConfigFile) {
  const ScratchFolder folder;
  write_file_atomically(folder / "run.json", R"({"stop": ["x", "y"]})");
  const auto config = "--config=" + (folder / "run.json").string();
  EXPECT_EQ(parse({config}).sample.stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(parse({config, "--stop", "z", "--stop", "w"}).sample.stop, (std::vector<std::string>{"z", "w"}));
  write_file_atomically(folder / "run.json", R"({"stop": ["x", 3]})");
  ASSERT_EQ(parse({config}).problems.size(), 1u);
  EXPECT_THAT(parse({config}).problems[0].remedy, testing::HasSubstr("an array of texts"));
}

TEST(Options, AListSurvivesBeingHandedOver) {
  auto parsed = parse({"--stop", "a", "--stop", "b"});
  Sample other;
  OptionTable(other).load(OptionTable(parsed.sample).to_json(), "request");
  EXPECT_EQ(other.stop, parsed.sample.stop);
}

struct Words {
  std::vector<std::string> runs;
  bool plain = false;
  Inner inner;
  std::int64_t late = 1;
  static void fields(auto& c, auto field) {
    field("runs", c.runs, "Runs.", FieldTraits{.positional = true, .heading = "What"});
    field("plain", c.plain, "A switch.");
    field("inner", c.inner, "Rates");
    field("late", c.late, "A number.");
  }
};

struct Word {
  std::string shell;
  static void fields(auto& c, auto field) {
    field("shell", c.shell, "A shell.", FieldTraits{.choices = {"bash", "zsh"}, .positional = true});
  }
};

TEST(Options, WordsThatAreNoFlagsGoToOneOption) {
  Words words;
  OptionTable table(words);
  std::vector<Problem> problems;
  std::vector<std::string> warnings;
  const std::vector<std::string> arguments = {"a", "--rate", "0.25", "b", "--plain", "c", "--runs", "d"};
  table.parse(arguments, problems, warnings);
  EXPECT_TRUE(problems.empty() && warnings.empty());
  EXPECT_EQ(words.runs, (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_TRUE(words.plain);
  EXPECT_EQ(words.inner.rate, 0.25);
  EXPECT_EQ(positional_text(table), " RUN...");
  table.parse(std::vector<std::string>{"-x"}, problems, warnings);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_THAT(problems[0].problem, testing::HasSubstr("\"-x\" is not a flag"));
}

TEST(Options, OneWordGoesToAnOptionOfOneWord) {
  Word word;
  OptionTable table(word);
  std::vector<Problem> problems;
  std::vector<std::string> warnings;
  table.parse(std::vector<std::string>{"zsh"}, problems, warnings);
  EXPECT_EQ(word.shell, "zsh");
  table.parse(std::vector<std::string>{"bash", "fish"}, problems, warnings);
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_THAT(problems[0].problem, testing::HasSubstr("\"fish\" is one word too many"));
  EXPECT_THAT(problems[1].problem, testing::HasSubstr("\"fish\" is not one of bash, zsh"));
}

TEST(Options, HelpIsUnderTheHeadingsOfGroups) {
  Words words;
  const auto help = help_text(OptionTable(words));
  EXPECT_EQ(help,
            "\nWhat\n"
            "  --runs text\n      Runs. May be given several times. May be given without the flag's name.\n"
            "  --plain  [false]\n      A switch.\n"
            "\nRates\n"
            "  --rate float  [0.5]\n      A rate.\n"
            "\nWhat\n"
            "  --late int  [1]\n      A number.\n");
}

struct Wordy {
  bool plain = false;
  static void fields(auto& c, auto field) {
    field(
        "plain", c.plain,
        "Twelve words of a help that is so long that no screen of a hundred columns has room for them on one "
        "line.");
  }
};

TEST(Options, LongHelpIsWrapped) {
  Wordy wordy;
  EXPECT_EQ(
      help_text(OptionTable(wordy)),
      "  --plain  [false]\n"
      "      Twelve words of a help that is so long that no screen of a hundred columns has room for them\n"
      "      on one line.\n");
}

}  // namespace
}  // namespace anneal
