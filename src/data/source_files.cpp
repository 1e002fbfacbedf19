#include "data/source_files.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"

namespace anneal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNameFlag = "--hfdc_dataset_name";

bool is_readable(const std::string& extension) {
  return extension == ".jsonl" || extension == ".json" || extension == ".csv";
}

bool is_data_of_later_version(const std::string& extension) {
  static const std::set<std::string> kLater = {".parquet", ".arrow", ".gz",  ".zst",
                                               ".bz2",     ".xz",    ".zip", ".tsv"};
  return kLater.contains(extension);
}

[[noreturn]] void fail_unreadable(const fs::path& path) {
  fail(ExitCode::kUsage, "this version does not read " + path.extension().string() + " files yet",
       path.string(), "convert the data to .jsonl, .json or .csv");
}

// The split that a file name tells, by the words that the Hugging Face hub goes by; empty: none.
std::string split_in_name(const std::string& stem) {
  static const std::map<std::string, std::string> kWords = {
      {"train", "train"},      {"training", "train"}, {"validation", "validation"},
      {"valid", "validation"}, {"val", "validation"}, {"dev", "validation"},
      {"test", "test"},        {"testing", "test"},   {"eval", "test"},
      {"evaluation", "test"}};
  std::string word;
  for (const char c : stem + ".") {
    if (std::isalpha(static_cast<unsigned char>(c))) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      continue;
    }
    if (const auto found = kWords.find(word); found != kWords.end()) return found->second;
    word.clear();
  }
  return "";
}

[[noreturn]] void fail_no_split(const std::string& dataset, const std::string& split,
                                const std::string& available) {
  fail(ExitCode::kData, "there is no split \"" + split + "\" in " + dataset, "--hfdc_split",
       "name one of: " + available);
}

[[noreturn]] void fail_not_local(const std::string& dataset, bool offline) {
  const fs::path path(dataset);
  const auto slashes = std::count(dataset.begin(), dataset.end(), '/');
  if (slashes > 1 || dataset.starts_with('.') || dataset.starts_with('/') ||
      is_readable(path.extension().string()) || is_data_of_later_version(path.extension().string()))
    fail(ExitCode::kUsage, "there is no such file or folder", dataset,
         "check the path of " + std::string(kNameFlag));
  fail(ExitCode::kUsage,
       "\"" + dataset + "\" is no local file or folder" +
           (offline ? " and the network is off"
                    : ", and this version does not read datasets from the hub yet"),
       kNameFlag, "download the dataset and name its .jsonl, .json or .csv file or folder");
}

SourceFiles files_of_folder(const std::string& dataset, const std::string& split) {
  SourceFiles source;
  std::map<std::string, std::vector<fs::path>> by_split;
  std::vector<fs::path> all;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(dataset, error)) {
    const auto name = entry.path().filename().string();
    std::error_code ignored;
    if (name.starts_with('.') || !entry.is_regular_file(ignored)) continue;
    const auto extension = entry.path().extension().string();
    if (is_data_of_later_version(extension)) fail_unreadable(entry.path());
    if (!is_readable(extension)) {
      source.notices.push_back("left out, not a data file: " + entry.path().string());
      continue;
    }
    all.push_back(entry.path());
    by_split[split_in_name(entry.path().stem().string())].push_back(entry.path());
  }
  if (error)
    fail(ExitCode::kUsage, "cannot list the folder: " + error.message(), dataset, "check its permissions");
  if (all.empty())
    fail(ExitCode::kData, "the folder holds no .jsonl, .json or .csv file", dataset,
         "name another folder or a file");
  const auto unnamed = by_split.extract("");
  if (by_split.empty()) by_split["train"] = all;
  if (!by_split.contains(split)) {
    std::string available;
    for (const auto& [name, files] : by_split) available += (available.empty() ? "" : ", ") + name;
    fail_no_split(dataset, split, available);
  }
  source.files = by_split[split];
  std::sort(source.files.begin(), source.files.end());
  for (const auto& path : all)
    if (std::find(source.files.begin(), source.files.end(), path) == source.files.end())
      source.notices.push_back("left out, not of the split \"" + split + "\": " + path.string());
  std::sort(source.notices.begin(), source.notices.end());
  return source;
}

}  // namespace

SourceFiles find_source_files(const std::string& dataset, const std::string& config, const std::string& split,
                              bool offline) {
  std::error_code error;
  const auto status = fs::status(dataset, error);
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
    fail(ExitCode::kUsage, "cannot open: " + error.message(), dataset,
         "check the path of " + std::string(kNameFlag));
  if (!fs::exists(status)) fail_not_local(dataset, offline);
  if (!config.empty() && config != "default")
    fail(ExitCode::kUsage, "local data has no subset \"" + config + "\"", "--hfdc_dataset_config",
         "leave the flag out, or name the file or folder of the subset");
  if (fs::is_directory(status)) return files_of_folder(dataset, split);
  const fs::path path(dataset);
  if (!is_readable(path.extension().string())) {
    if (is_data_of_later_version(path.extension().string())) fail_unreadable(path);
    fail(ExitCode::kUsage, "the kind of the file cannot be told from its name", dataset,
         "name it .jsonl, .json or .csv");
  }
  if (split != "train") fail_no_split(dataset, split, "train");
  return {{path}, {}};
}

}  // namespace anneal
