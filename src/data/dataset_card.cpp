#include "data/dataset_card.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "base/error.h"

namespace anneal {
namespace {

constexpr const char* kRemedy = "correct the front matter of the file";

[[noreturn]] void fail_card(const std::string& problem, const std::string& where) {
  fail(ExitCode::kData, problem, where, kRemedy);
}

// Between the first line of the file, "---", and the next such line; empty where there is none.
std::string front_matter(const std::string& text) {
  const auto start = text.find_first_not_of(" \t\r\n");
  if (start == text.npos || text.compare(start, 3, "---") != 0) return "";
  const auto begin = text.find('\n', start);
  if (begin == text.npos) return "";
  const auto end = text.find("\n---", begin);
  return text.substr(begin, end - begin);
}

std::vector<std::string> texts_of(const YAML::Node& node, const std::string& where) {
  if (node.IsScalar()) return {node.as<std::string>()};
  if (!node.IsSequence()) fail_card("a path of data_files is neither a text nor a list of texts", where);
  std::vector<std::string> texts;
  for (const auto& item : node) texts.push_back(item.as<std::string>());
  return texts;
}

// A path, paths, or a list of {split, path}.
std::vector<SplitPatterns> split_patterns(const YAML::Node& node, const std::string& where) {
  const bool has_splits = node.IsSequence() && node.size() > 0 && node[0].IsMap();
  if (!has_splits) return {{"train", texts_of(node, where)}};
  std::vector<SplitPatterns> splits;
  for (const auto& item : node) {
    if (!item.IsMap() || !item["split"] || !item["path"])
      fail_card("an entry of data_files lacks split or path", where);
    splits.push_back({item["split"].as<std::string>(), texts_of(item["path"], where)});
  }
  return splits;
}

DatasetConfig config_of(const YAML::Node& node, const std::string& where) {
  // What these say changes no value that is read.
  static const std::set<std::string> kWithoutEffect = {"features", "description", "version", "license",
                                                       "drop_labels"};
  if (!node.IsMap() || !node["config_name"]) fail_card("an entry of configs has no config_name", where);
  DatasetConfig config;
  for (const auto& field : node) {
    const auto key = field.first.as<std::string>();
    if (key == "config_name") {
      config.name = field.second.as<std::string>();
    } else if (key == "data_dir") {
      config.data_dir = field.second.as<std::string>();
    } else if (key == "data_files") {
      config.data_files = split_patterns(field.second, where);
    } else if (key == "default") {
      config.is_default = field.second.as<bool>(false);
    } else if (key == "sep" || key == "delimiter") {
      const auto text = field.second.as<std::string>();
      if (text.size() == 1)
        config.delimiter = text[0];
      else
        config.unusual = key;
    } else if (!kWithoutEffect.contains(key) && !field.second.IsNull()) {
      config.unusual = key;
    }
  }
  return config;
}

}  // namespace

std::vector<DatasetConfig> read_dataset_card(const std::string& text, const std::string& where) {
  std::vector<DatasetConfig> configs;
  try {
    const YAML::Node card = YAML::Load(front_matter(text));
    if (!card.IsMap() || !card["configs"] || card["configs"].IsNull()) return {};
    if (!card["configs"].IsSequence()) fail_card("configs is not a list", where);
    for (const auto& node : card["configs"]) configs.push_back(config_of(node, where));
  } catch (const YAML::Exception& error) {
    // Its lines count from 0, after the line of the marks.
    fail_card("not valid YAML: " + error.msg, where + ":" + std::to_string(error.mark.line + 1));
  }
  return configs;
}

DatasetConfig choose_config(const std::vector<DatasetConfig>& configs, const std::string& name,
                            const std::string& dataset) {
  if (configs.empty() && (name.empty() || name == "default")) return {};
  std::string names;
  for (const auto& config : configs) {
    names += (names.empty() ? "" : ", ") + config.name;
    if (!name.empty() && config.name == name) return config;
  }
  if (configs.empty())
    fail(ExitCode::kData, dataset + " has no subset \"" + name + "\": its README.md names none",
         "--hfdc_dataset_config", "leave the flag out, or name the file or folder of the subset");
  if (!name.empty())
    fail(ExitCode::kData, dataset + " has no subset \"" + name + "\"", "--hfdc_dataset_config",
         "name one of: " + names);
  for (const auto& config : configs)
    if (configs.size() == 1 || config.is_default || config.name == "default") return config;
  fail(ExitCode::kData, dataset + " has several subsets", "--hfdc_dataset_config", "name one of: " + names);
}

}  // namespace anneal
