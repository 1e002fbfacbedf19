#include "data/source_files.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "tests/data/scratch.h"

namespace anneal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SourceFilesTest : public Scratch {
 protected:
  SourceFiles find(DatasetPlace place) {
    if (place.name.empty()) place.name = folder_.string();
    if (place.split.empty()) place.split = "train";
    place.is_offline = true;
    return find_source_files(place, [](const std::string&) {});
  }

  std::vector<std::string> files(const DatasetPlace& place = {}) {
    std::vector<std::string> names;
    for (const auto& file : find(place).files)
      names.push_back(file.path.lexically_relative(folder_).generic_string());
    return names;
  }

  std::string error(const DatasetPlace& place) {
    try {
      find(place);
    } catch (const UserError& error) {
      return error.what();
    }
    return "no error";
  }
};

// Oracle of the folders here: `datasets`, with which dataset_folders_test.py compares such folders.
TEST_F(SourceFilesTest, AFolderIsReadByName) {
  write("b.jsonl", "");
  write("sub/a.jsonl.gz", "");
  write("c.jsonl.zst", "");
  write("notes.md", "");
  write("notes.txt", "");
  write(".hidden.jsonl", "");
  write("__pycache__/x.jsonl", "");
  EXPECT_THAT(files(), ElementsAre("b.jsonl", "c.jsonl.zst", "sub/a.jsonl.gz"));
  EXPECT_THAT(find({}).notices, ElementsAre(HasSubstr("notes.txt")));
}

TEST_F(SourceFilesTest, NamesTellSplitsApart) {
  write("train-00001.jsonl", "");
  write("train-00000.jsonl", "");
  write("my_test.jsonl", "");
  write("contest.jsonl", "");
  EXPECT_THAT(files(), ElementsAre("train-00000.jsonl", "train-00001.jsonl"));
  EXPECT_THAT(files({.split = "test"}), ElementsAre("my_test.jsonl"));
  EXPECT_THAT(error({.split = "validation"}), HasSubstr("name one of: train, test"));
}

TEST_F(SourceFilesTest, TheCardNamesSubsets) {
  write("README.md",
        "---\nlicense: mit\nconfigs:\n- config_name: one\n  data_files: one/*.csv\n  sep: ';'\n"
        "- config_name: two\n  default: true\n  data_files:\n  - split: train\n    path: [b.jsonl, a.jsonl]\n"
        "  - split: holdout\n    path: '*/x.jsonl'\n- config_name: three\n  data_dir: d\n---\n# Text: [not "
        "yaml\n");
  for (const char* name : {"a.jsonl", "b.jsonl", "c/x.jsonl", "one/1.csv", "d/train/y.txt", "d/dev/z.txt"})
    write(name, "");
  EXPECT_THAT(files(), ElementsAre("b.jsonl", "a.jsonl"));
  EXPECT_THAT(files({.split = "holdout"}), ElementsAre("c/x.jsonl"));
  EXPECT_THAT(files({.config = "one"}), ElementsAre("one/1.csv"));
  EXPECT_EQ(find({.config = "one"}).files[0].delimiter, ';');
  EXPECT_THAT(files({.config = "three", .split = "validation"}), ElementsAre("d/dev/z.txt"));
  EXPECT_THAT(error({.config = "four"}), HasSubstr("name one of: one, two, three"));
  EXPECT_THAT(error({.split = "test"}), HasSubstr("name one of: train, holdout"));
}

TEST_F(SourceFilesTest, ADamagedCardNamesThePlace) {
  write("x.jsonl", "");
  write("README.md", "---\nconfigs:\n- config_name: 'a\n---\n");
  EXPECT_THAT(error({}), HasSubstr("not valid YAML"));
  write("README.md", "---\nconfigs:\n- data_files: x.jsonl\n---\n");
  EXPECT_THAT(error({}), HasSubstr("has no config_name"));
  write("README.md", "---\nconfigs:\n- config_name: a\n  data_files: y.jsonl\n---\n");
  EXPECT_THAT(error({}), HasSubstr("a data file that is not there"));
  write("README.md", "---\nconfigs:\n- config_name: a\n  data_files: ../*.jsonl\n---\n");
  EXPECT_THAT(error({}), HasSubstr("no data file that can be read"));
  write("README.md", "---\nconfigs:\n- config_name: a\n- config_name: b\n---\n");
  EXPECT_THAT(error({}), HasSubstr("several subsets"));
  write("README.md", "--- no front matter");
  EXPECT_EQ(error({}), "no error");
}

TEST_F(SourceFilesTest, APatternIsItsFiles) {
  write("a/x.jsonl", "");
  write("b/x.csv", "");
  write("b/c/y.jsonl", "");
  const auto pattern = [&](const std::string& end) { return DatasetPlace{.name = (folder_ / end).string()}; };
  EXPECT_THAT(files(pattern("*/x.*")), ElementsAre("a/x.jsonl", "b/x.csv"));
  EXPECT_THAT(files(pattern("**/*.jsonl")), ElementsAre("a/x.jsonl", "b/c/y.jsonl"));
  EXPECT_THAT(error(pattern("*.jsonl")), HasSubstr("no file matches"));
  write("b/x.bin", "");
  EXPECT_THAT(error(pattern("b/x.*")), HasSubstr("cannot be told from its name"));
}

TEST_F(SourceFilesTest, WhatCannotBeReadIsNamed) {
  EXPECT_THAT(error({.name = write("x.zip", "").string()}), HasSubstr("this kind of file is not read: .zip"));
  EXPECT_THAT(error({.name = write("x.bin", "").string()}), HasSubstr("cannot be told from its name"));
  EXPECT_THAT(error({.name = write("x.jsonl", "").string(), .config = "subset"}),
              HasSubstr("no subset \"subset\""));
  EXPECT_THAT(error({.name = "org/name"}), HasSubstr("the network is off"));
  EXPECT_THAT(error({.name = "org/name.jsonl"}), HasSubstr("no such file or folder"));
  EXPECT_THAT(error({.name = "./nowhere"}), HasSubstr("no such file or folder"));
  std::filesystem::create_symlink(folder_ / "loop", folder_ / "loop");
  EXPECT_THAT(error({.name = (folder_ / "loop").string()}), HasSubstr("cannot open"));
  std::filesystem::create_directory(folder_ / "empty");
  EXPECT_THAT(error({.name = (folder_ / "empty").string()}), HasSubstr("no data file in the folder"));
}

TEST_F(SourceFilesTest, LinksAndOddNamesAreFollowed) {
  const auto target = write("a folder %=\xC3\xA9/x.jsonl", "");
  std::filesystem::create_symlink(target.parent_path(), folder_ / "link");
  EXPECT_EQ(find({.name = (folder_ / "link").string()}).files.size(), 1u);
}

}  // namespace
}  // namespace anneal
