#include "data/dataset_layout.h"

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <tuple>

#include "base/error.h"
#include "data/path_pattern.h"

namespace anneal {
namespace {

using Names = std::vector<std::string>;

struct SplitWords {
  const char* split;
  std::vector<std::string> words;
};
const SplitWords kSplits[] = {{"train", {"train", "training"}},
                              {"validation", {"validation", "valid", "dev", "val"}},
                              {"test", {"test", "testing", "eval", "evaluation"}}};
constexpr const char* kSeparators = "[-._ 0-9]";  // around such a word

// Files that describe a dataset.
const std::set<std::string> kDescriptions = {"README.md",          "config.json",       "dataset_info.json",
                                             "dataset_infos.json", "dataset_dict.json", "state.json"};

bool is_data(const std::string& name) {
  const std::filesystem::path path(name);
  if (kDescriptions.contains(path.filename().string())) return false;
  return row_file(path).kind != FileKind::kNone || is_for_the_library(path);
}

Names matching(const Names& names, const std::string& pattern) {
  Names found;
  for (const auto& name : names)
    if (matches_pattern(pattern, name)) found.push_back(name);
  return found;
}

// data/<split>-00000-of-00001.parquet, as the Hub's own tools write it.
std::vector<SplitPatterns> patterns_of_shards(const Names& names) {
  static const std::regex kShard(R"(data/(\w+(\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]*)");
  std::set<std::string> splits;
  for (const auto& name : names)
    if (std::smatch match; std::regex_match(name, match, kShard)) splits.insert(match[1]);
  std::vector<SplitPatterns> found;
  for (const auto& split : splits) {
    const std::string digits = "[0-9][0-9][0-9][0-9][0-9]";
    found.push_back({split, {"data/" + split + "-" + digits + "-of-" + digits + "*.*"}});
  }
  return found;
}

// The patterns of a word, `in_folder_name` or in a file's.
Names patterns_of_word(const std::string& word, bool in_folder_name) {
  const std::string sep = kSeparators;
  if (!in_folder_name) return {"**/" + word + sep + "*", "**/*" + sep + word + sep + "*"};
  return {"**/" + word + "/**", "**/" + word + sep + "*/**", "**/*" + sep + word + "/**",
          "**/*" + sep + word + sep + "*/**"};
}

std::vector<SplitPatterns> patterns_of_words(const Names& names, bool in_folder_name) {
  std::vector<SplitPatterns> found;
  for (const auto& [split, words] : kSplits) {
    SplitPatterns patterns{split, {}};
    bool has_files = false;
    for (const auto& word : words)
      for (auto& pattern : patterns_of_word(word, in_folder_name)) {
        has_files = has_files || !matching(names, pattern).empty();
        patterns.patterns.push_back(std::move(pattern));
      }
    if (has_files) found.push_back(std::move(patterns));
  }
  return found;
}

std::vector<SplitPatterns> patterns_by_name(const Names& names) {
  if (auto found = patterns_of_shards(names); !found.empty()) return found;
  if (auto found = patterns_of_words(names, /*in_folder_name=*/true); !found.empty()) return found;
  if (auto found = patterns_of_words(names, /*in_folder_name=*/false); !found.empty()) return found;
  return {{"train", {"**"}}};
}

Names below(const Names& names, std::string folder) {
  while (folder.ends_with('/')) folder.pop_back();
  if (folder.starts_with("./")) folder.erase(0, 2);
  if (folder.empty() || folder == ".") return names;
  Names found;
  for (const auto& name : names)
    if (name.starts_with(folder + "/")) found.push_back(name.substr(folder.size() + 1));
  return found;
}

std::string names_of(const std::vector<SplitPatterns>& splits) {
  std::string names;
  for (const auto& split : splits) names += (names.empty() ? "" : ", ") + split.split;
  return names;
}

const SplitPatterns& find_split(const std::vector<SplitPatterns>& splits, const std::string& wanted,
                                const std::string& dataset) {
  for (const auto& split : splits)
    if (split.split == wanted) return split;
  fail(ExitCode::kData, "there is no split \"" + wanted + "\" in " + dataset, "--hfdc_split",
       "name one of: " + names_of(splits));
}

// A file that two patterns match counts once, at the first.
Names files_of(const SplitPatterns& split, const Names& names, const std::string& dataset) {
  Names files;
  for (const auto& pattern : split.patterns) {
    if (pattern.find("://") != pattern.npos)
      fail(ExitCode::kData, "the README.md of " + dataset + " names data elsewhere: " + pattern, dataset,
           "download that file and name it with --hfdc_dataset_name");
    const auto found = matching(names, pattern);
    if (found.empty() && !has_wildcard(pattern))
      fail(ExitCode::kData, "the README.md of " + dataset + " names a data file that is not there", pattern,
           "add the file, or name another subset or split");
    for (const auto& name : found)
      if (std::find(files.begin(), files.end(), name) == files.end()) files.push_back(name);
  }
  return files;
}

// What is read together: .json with .jsonl, .csv with .tsv.
FileKind group_of(FileKind kind) { return kind == FileKind::kJsonLines ? FileKind::kJson : kind; }

// Of extensions that as many files have. Plain text is never data beside other kinds: notes and licences are
// .txt too.
int rank_of(const RowFile& file) {
  switch (file.kind) {
    case FileKind::kParquet:
      return 6;
    case FileKind::kArrow:
      return 5;
    case FileKind::kJsonLines:
      return 4;
    case FileKind::kJson:
      return 3;
    case FileKind::kCsv:
      return file.delimiter == ',' ? 2 : 1;
    default:
      return 0;
  }
}

// The kind of the extension that most files have, as the `datasets` library counts them.
FileKind group_to_read(const std::vector<RowFile>& files) {
  std::map<int, int> counts;
  for (const auto& file : files) ++counts[rank_of(file)];
  FileKind best = FileKind::kNone;
  auto best_count = std::tuple(false, 0, 0);
  for (const auto& file : files) {
    const int rank = rank_of(file);
    const auto count = std::tuple(rank > 0, counts[rank], rank);
    if (file.kind == FileKind::kNone || (best != FileKind::kNone && count <= best_count)) continue;
    best = group_of(file.kind);
    best_count = count;
  }
  return best;
}

}  // namespace

DatasetLayout resolve_layout(const Names& names, const DatasetConfig& config, const std::string& split,
                             const std::string& dataset) {
  Names data = names;
  std::sort(data.begin(), data.end());
  if (!config.data_files)
    data.erase(std::remove_if(data.begin(), data.end(), [](const auto& name) { return !is_data(name); }),
               data.end());
  data = below(data, config.data_dir);
  if (data.empty())
    fail(ExitCode::kData, "there is no data file in the folder", dataset,
         "it may hold " + std::string(kReadableKinds));
  const auto splits = config.data_files ? *config.data_files : patterns_by_name(data);
  const auto files = files_of(find_split(splits, split, dataset), data, dataset);

  DatasetLayout layout;
  std::vector<RowFile> candidates;
  for (const auto& name : files)
    candidates.push_back(row_file((std::filesystem::path(config.data_dir) / name).lexically_normal()));
  const auto group = group_to_read(candidates);
  for (auto& file : candidates) {
    if (group_of(file.kind) != group || group == FileKind::kNone) continue;
    if (config.delimiter) file.delimiter = *config.delimiter;
    layout.files.push_back(file);
  }
  for (const auto& name : data)
    if (const auto path = (std::filesystem::path(config.data_dir) / name).lexically_normal();
        is_data(name) && std::none_of(layout.files.begin(), layout.files.end(),
                                      [&](const auto& file) { return file.path == path; }))
      layout.left_out.push_back(path.string());
  if (!config.unusual.empty()) {
    layout.by_library = "its README.md sets " + config.unusual;
  } else if (layout.files.empty()) {
    const bool library_may = std::any_of(files.begin(), files.end(), is_data);
    if (!library_may)
      fail(ExitCode::kData, "the split \"" + split + "\" has no data file that can be read", dataset,
           "it may hold " + std::string(kReadableKinds));
    layout.by_library = "it holds no " + std::string(kReadableKinds);
  }
  return layout;
}

}  // namespace anneal
