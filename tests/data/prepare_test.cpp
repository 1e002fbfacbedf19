#include "data/prepare.h"

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "data/manifest.h"
#include "data/split.h"
#include "tests/data/scratch.h"

namespace anneal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t kSeed = 16257;

class Prepare : public Scratch {
 protected:
  void SetUp() override {
    Scratch::SetUp();
    options_.hfdc_dataset_name = write_rows("rows.jsonl", 20).string();
    options_.hfdc_dataset_config = "";
    options_.hfdc_field_mapping = R"({"question": "q", "answer": "a"})";
    options_.hfdc_input_template = "Q: {question}\\n";
    options_.hfdc_output_template = "A: {answer}";
    options_.data_dir = (folder_ / "data").string();
  }

  std::filesystem::path write_rows(const std::string& name, int count) {
    std::string text;
    for (int row = 0; row < count; ++row)
      text += "{\"q\": \"q" + std::to_string(row) + "\", \"a\": " + std::to_string(row) + "}\n";
    return write(name, text);
  }

  PreparedData prepare() {
    log_.clear();
    return prepare_data(options_, kSeed, [&](const std::string& line) { log_ += line + "\n"; });
  }

  std::string error(ExitCode code = ExitCode::kData) {
    try {
      prepare();
    } catch (const UserError& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      return error.what();
    }
    return "no error";
  }

  std::vector<std::string> names_in(const std::filesystem::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  DatasetOptions options_;
  std::string log_;
};

// Oracle: split_order and split_counts, tested against golden values, and the templates by hand.
TEST_F(Prepare, WritesTheThreeFiles) {
  const auto data = prepare();
  EXPECT_EQ(data.training_rows, 18);
  EXPECT_EQ(data.validation_rows, 1);
  EXPECT_EQ(data.test_rows, 1);
  EXPECT_FALSE(data.reused);
  std::vector<std::string> expected;
  for (const auto row : split_order(20, kSeed))
    expected.push_back("{\"input\": \"Q: q" + std::to_string(row) +
                       "\\n\", \"output\": \"A: " + std::to_string(row) + "\"}");
  EXPECT_THAT(lines_of(data.test), ElementsAre(expected[0]));
  EXPECT_THAT(lines_of(data.validation), ElementsAre(expected[1]));
  EXPECT_EQ(lines_of(data.training), std::vector<std::string>(expected.begin() + 2, expected.end()));
  EXPECT_THAT(names_in(data.folder),
              ElementsAre(".data_ready", "test.jsonl", "training.jsonl", "validation.jsonl"));
  EXPECT_THAT(names_in(folder_), ElementsAre("data", "data.lock", "rows.jsonl"));
}

// Oracle: spec section 2.6; hashes by sha256_hex of the content.
TEST_F(Prepare, ManifestSaysWhatItWasMadeFrom) {
  const auto data = prepare();
  const auto manifest = read_json_file(data.folder / kManifestName, ExitCode::kData);
  EXPECT_EQ(manifest.at("version"), 1);
  EXPECT_EQ(manifest.at("dataset_name"), options_.hfdc_dataset_name);
  EXPECT_EQ(manifest.at("split_seed"), kSeed);
  EXPECT_EQ(manifest.at("input_template"), "Q: {question}\\n");
  EXPECT_EQ(manifest.at("files").at("training.jsonl").at("rows"), 18);
  EXPECT_EQ(manifest.at("files").at("training.jsonl").at("sha256"), sha256_hex(content_of(data.training)));
  EXPECT_EQ(manifest.at("source")[0].at("sha256"), sha256_hex(content_of(options_.hfdc_dataset_name)));
}

TEST_F(Prepare, TheSameAgainIsReused) {
  const auto first = prepare();
  const auto written = std::filesystem::last_write_time(first.training);
  const auto second = prepare();
  EXPECT_TRUE(second.reused);
  EXPECT_EQ(second.data_sha256, first.data_sha256);
  EXPECT_EQ(second.training_rows, 18);
  EXPECT_EQ(std::filesystem::last_write_time(second.training), written);
  options_.force_data = true;
  const auto forced = prepare();
  EXPECT_FALSE(forced.reused);
  EXPECT_EQ(forced.data_sha256, first.data_sha256);
  EXPECT_EQ(forced.folder, first.folder);
}

// Oracle: case 28: whatever shapes the content gives another folder, named after a hash.
TEST_F(Prepare, AnythingElseGetsAFolderOfItsOwn) {
  const auto first = prepare();
  const auto changed = [&](auto change) {
    const auto before = options_;
    change();
    const auto data = prepare();
    options_ = before;
    EXPECT_FALSE(data.reused);
    EXPECT_THAT(data.folder.string(), testing::MatchesRegex(first.folder.string() + "\\+[0-9a-f]{8}"));
    EXPECT_THAT(log_, HasSubstr("holds other data"));
    return data.folder;
  };
  std::vector<std::filesystem::path> folders = {
      changed([&] { options_.hfdc_input_template = "{question}"; }),
      changed([&] { options_.hfdc_field_mapping = R"({"question": "a", "answer": "q"})"; }),
      changed([&] { options_.split_seed = 1; }),
      changed([&] { options_.hfdc_train_split_ratio = 0.9000001; }),
      changed([&] { options_.template_escapes = "none"; }),
  };
  write_rows("rows.jsonl", 21);
  folders.push_back(changed([] {}));
  std::sort(folders.begin(), folders.end());
  EXPECT_EQ(std::unique(folders.begin(), folders.end()), folders.end());
}

TEST_F(Prepare, DamagedFilesAreBuiltAgain) {
  const auto first = prepare();
  write("data/training.jsonl", content_of(first.training).substr(1));
  const auto second = prepare();
  EXPECT_FALSE(second.reused);
  EXPECT_EQ(second.folder, first.folder);
  EXPECT_EQ(second.data_sha256, first.data_sha256);
  EXPECT_THAT(log_, HasSubstr("damaged"));
}

TEST_F(Prepare, LeftoversOfADeadProcessGo) {
  write("data.tmp-1-0badbeef/training.jsonl", "half");
  prepare();
  EXPECT_THAT(names_in(folder_), ElementsAre("data", "data.lock", "rows.jsonl"));
}

// Oracle: spec section 2.3, by hand.
TEST_F(Prepare, EmptyAndNullValuesAreCounted) {
  write("rows.jsonl", R"({"q":"1","a":null}
{"q":null,"a":"x"}
{"a":""}
{"q":"","a":"","z":0}
{"q":"5","a":false}
)");
  const auto data = prepare();
  EXPECT_EQ(data.training_rows + data.validation_rows + data.test_rows, 2);
  EXPECT_THAT(data.dropped, ElementsAre(std::pair<const std::string, std::int64_t>("empty_output", 3)));
  EXPECT_EQ(data.null_fields, 3);
  options_.hfdc_input_template = "{question}";
  options_.hfdc_output_template = "{answer}";
  EXPECT_THAT(prepare().dropped, ElementsAre(std::pair<const std::string, std::int64_t>("empty", 2),
                                             std::pair<const std::string, std::int64_t>("empty_output", 1)));
  options_.keep_empty_output = true;
  EXPECT_THAT(prepare().dropped, ElementsAre(std::pair<const std::string, std::int64_t>("empty", 2)));
}

TEST_F(Prepare, DataIsNeverExpandedAgain) {
  write("rows.jsonl", R"({"q":"{answer} {{ }} \\n","a":"{question}"})");
  EXPECT_THAT(lines_of(prepare().training),
              ElementsAre(R"({"input": "Q: {answer} {{ }} \\n\n", "output": "A: {question}"})"));
}

// Oracle: the messages, by hand; nothing is left behind.
TEST_F(Prepare, BadDataIsRefused) {
  options_.hfdc_field_mapping = "{}";
  EXPECT_THAT(error(), testing::AllOf(HasSubstr("\"answer\", \"question\""),
                                      HasSubstr("the columns are \"q\", \"a\"")));
  write("rows.jsonl", "");
  EXPECT_THAT(error(), HasSubstr("holds no rows"));
  write("rows.jsonl", "{\"question\":\"\",\"answer\":\"\"}\n");
  EXPECT_THAT(error(), HasSubstr("all 1 rows are empty"));
  write("rows.jsonl", "{\"question\":\"\",\"answer\":\"1\"}\n{\n");
  EXPECT_THAT(error(), HasSubstr("rows.jsonl:2"));
  EXPECT_THAT(names_in(folder_), ElementsAre("data.lock", "rows.jsonl"));
}

TEST_F(Prepare, SkippedRowsAreCountedAndNotForgotten) {
  write("rows.jsonl", "{\"q\":\"1\",\"a\":\"1\"}\nx\n");
  options_.skip_bad_rows = 1;
  EXPECT_EQ(prepare().skipped_rows, 1);
  EXPECT_THAT(log_, HasSubstr("rows.jsonl:2"));
  EXPECT_EQ(prepare().skipped_rows, 1);
  options_.skip_bad_rows = 0;
  EXPECT_THAT(error(), HasSubstr("--skip_bad_rows 1"));
}

// Oracle: spec sections 2.4 and 2.6, by hand.
TEST_F(Prepare, FilesThatTheUserPlacedAreTaken) {
  write("data/training.jsonl", "{\"input\":\"a\",\"output\":\"b\"}\n{\"input\":\"c\",\"output\":\"d\"}");
  write("data/test.jsonl", "");
  const auto data = prepare();
  EXPECT_TRUE(data.foreign);
  EXPECT_EQ(data.training_rows, 2);
  EXPECT_EQ(data.validation_rows, 0);
  EXPECT_EQ(data.test_rows, 0);
  EXPECT_THAT(names_in(folder_ / "data"), ElementsAre("test.jsonl", "training.jsonl"));
  write("data/.data_ready", "ready");
  EXPECT_TRUE(prepare().foreign);
  EXPECT_THAT(log_, HasSubstr("warning"));
  write("data/validation.jsonl", "[]\n");
  EXPECT_THAT(error(), HasSubstr("validation.jsonl:1"));
  write("data/validation.jsonl", "");
  write("data/training.jsonl", "");
  EXPECT_THAT(error(), HasSubstr("nothing to train on"));
}

TEST_F(Prepare, AnExistingDataDirNeedsNoDatasetFlags) {
  const auto built = prepare();
  DatasetOptions plain;
  plain.describes_dataset = false;
  plain.data_dir = options_.data_dir + "/";
  const auto data = prepare_data(plain, 1, [](const std::string&) {});
  EXPECT_TRUE(data.reused);
  EXPECT_FALSE(data.foreign);
  EXPECT_EQ(data.data_sha256, built.data_sha256);
  std::filesystem::remove(options_.hfdc_dataset_name);
  EXPECT_EQ(prepare().data_sha256, built.data_sha256);
  EXPECT_THAT(log_, HasSubstr("not compared"));
}

TEST_F(Prepare, AFolderWithOtherThingsIsLeftAlone) {
  write("data/photo.jpg", "x");
  EXPECT_THAT(prepare().folder.string(), HasSubstr("data+"));
  EXPECT_EQ(content_of(folder_ / "data/photo.jpg"), "x");
  options_.data_dir = (folder_ / "data/photo.jpg").string();
  EXPECT_THAT(error(ExitCode::kUsage), HasSubstr("a file in the place of the folder"));
  std::filesystem::create_symlink(folder_ / "loop", folder_ / "loop");
  options_.data_dir = (folder_ / "loop").string();
  EXPECT_THAT(error(ExitCode::kUsage), HasSubstr("loop"));
}

TEST_F(Prepare, ALinkedFolderIsFollowed) {
  std::filesystem::create_directory(folder_ / "real");
  std::filesystem::create_directory_symlink(folder_ / "real", folder_ / "link");
  options_.data_dir = (folder_ / "link").string();
  prepare();
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ / "link"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "real/training.jsonl"));
}

// Oracle: case 27: of several processes at once one builds, the others find the same files.
TEST_F(Prepare, SeveralProcessesAtOnceGiveOneBuild) {
  options_.hfdc_dataset_name = write_rows("many.jsonl", 20000).string();
  constexpr int kProcesses = 4;
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    const pid_t child = ::fork();
    if (child == 0) {
      const bool reused = prepare().reused;
      ::_exit(reused ? 10 : 20);
    }
    children.push_back(child);
  }
  int built = 0;
  for (const auto child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_TRUE(WEXITSTATUS(status) == 10 || WEXITSTATUS(status) == 20);
    built += WEXITSTATUS(status) == 20;
  }
  EXPECT_EQ(built, 1);
  EXPECT_TRUE(prepare().reused);
}

// Oracle: by hand.
TEST_F(Prepare, WritesChats) {
  std::string text = R"({"chat": [{"role": "user", "content": "only a question"}]})"
                     "\n";
  text += R"({"chat": [], "functions": []})"
          "\n";
  for (int row = 0; row < 10; ++row)
    text +=
        R"({"chat": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "functions": [{"name": "f"}]})"
        "\n";
  write("chats.jsonl", text);
  options_ = {.hfdc_dataset_name = (folder_ / "chats.jsonl").string(),
              .hfdc_dataset_config = "",
              .hfdc_field_mapping = R"({"tools": "functions"})",
              .hfdc_messages_field = "chat",
              .data_dir = (folder_ / "data").string()};
  const auto data = prepare();
  EXPECT_EQ(data.training_rows, 9);
  EXPECT_EQ(data.dropped, (std::map<std::string, std::int64_t>{{"empty", 1}, {"no_assistant_turn", 1}}));
  EXPECT_EQ(data.null_fields, 0);
  EXPECT_EQ(lines_of(data.training)[0],
            R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],)"
            R"("tools":[{"type":"function","function":{"name":"f"}}]})");
  EXPECT_TRUE(prepare().reused) << "also read back: the column is part of the recipe";
  EXPECT_EQ(read_manifest(data.folder)->recipe.at("messages_field"), "chat");
  options_.hfdc_field_mapping = "{}";
  EXPECT_FALSE(prepare().reused) << "another column of tools";
}

TEST_F(Prepare, BadChatsAreBadRows) {
  std::string text;
  for (int row = 0; row < 9; ++row)
    text += R"({"chat": [{"role": "assistant", "content": "a"}]})"
            "\n";
  write("chats.jsonl", text + R"({"chat": [{"role": "user"}, 7]})"
                              "\n");
  options_ = {.hfdc_dataset_name = (folder_ / "chats.jsonl").string(),
              .hfdc_dataset_config = "",
              .hfdc_field_mapping = "{}",
              .hfdc_messages_field = "chat",
              .data_dir = (folder_ / "data").string()};
  EXPECT_THAT(error(),
              testing::AllOf(HasSubstr("message 1 is not an object"), HasSubstr("chats.jsonl, row 9")));
  options_.skip_bad_rows = 1;
  EXPECT_EQ(prepare().skipped_rows, 1);
  options_.hfdc_messages_field = "chats";
  EXPECT_THAT(error(), testing::AllOf(HasSubstr("no row has the column \"chats\""), HasSubstr("\"chat\"")));
  std::vector<Problem> problems;
  options_.hfdc_input_template = "{x}";
  options_.validate(problems);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].where, "--hfdc_messages_field");
}

// Oracle: by hand. Of 24 rows 21 are for training: all once without weights, and 11 and 10 at 1 : 1.
TEST_F(Prepare, SeveralDatasetsInTheSharesOfTheirWeights) {
  const auto few = write_rows("few.jsonl", 4).string();
  options_.data = {options_.hfdc_dataset_name, few};
  options_.hfdc_dataset_name = kDefaultDataset;
  const auto plain = prepare();
  ASSERT_EQ(plain.datasets.size(), 2);
  EXPECT_EQ(plain.datasets[0].rows, 20);
  EXPECT_EQ(plain.datasets[1].rows, 4);
  EXPECT_EQ(plain.datasets[0].training + plain.datasets[0].validation + plain.datasets[0].test, 20);
  EXPECT_EQ(plain.training_rows, 21);

  for (auto& name : options_.data) name += ":0.5";
  const auto mixed = prepare();
  EXPECT_NE(mixed.folder, plain.folder);
  EXPECT_EQ(mixed.training_rows, 21);
  EXPECT_EQ(mixed.datasets[0].training, 11);
  EXPECT_EQ(mixed.datasets[1].training, 10);
  // What is held out is that of the run without weights.
  EXPECT_EQ(lines_of(mixed.test), lines_of(plain.test));
  EXPECT_EQ(lines_of(mixed.validation), lines_of(plain.validation));
  for (const auto& line : lines_of(mixed.training))
    EXPECT_THAT(lines_of(mixed.test), testing::Each(testing::Ne(line)));
  const auto again = prepare();
  EXPECT_TRUE(again.reused);
  EXPECT_EQ(again.datasets[1].training, 10);
  options_.force_data = true;
  EXPECT_EQ(prepare().data_sha256, mixed.data_sha256);
}

// Oracle: by hand. The second dataset lacks a column that the first has.
TEST_F(Prepare, EachOfSeveralDatasetsNeedsTheColumns) {
  options_.data = {options_.hfdc_dataset_name, write("other.jsonl", "{\"q\": \"x\"}\n").string()};
  options_.hfdc_dataset_name = kDefaultDataset;
  EXPECT_THAT(error(), testing::AllOf(HasSubstr("the column \"a\""), HasSubstr("other.jsonl")));
}

}  // namespace
}  // namespace anneal
