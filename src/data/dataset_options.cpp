#include "data/dataset_options.h"

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "data/data_folder.h"
#include "data/dataset_mix.h"
#include "formats/utf8.h"
#include "hub/repository.h"

namespace anneal {
namespace {

constexpr const char* kMappingFlag = "--hfdc_field_mapping";
constexpr const char* kMappingForm = R"(write '{"placeholder": "column"}')";

std::map<std::string, std::string> parse_mapping(const std::string& text, std::vector<Problem>& problems) {
  if (text.empty()) return {};
  std::map<std::string, std::string> mapping;
  try {
    const Json object = parse_json(text, kMappingFlag, ExitCode::kUsage);
    const bool all_texts =
        object.is_object() &&
        std::all_of(object.begin(), object.end(), [](const Json& value) { return value.is_string(); });
    if (!all_texts)
      problems.push_back({"the mapping is not a JSON object of texts", kMappingFlag, kMappingForm});
    else
      mapping = object.get<std::map<std::string, std::string>>();
  } catch (const UserError& error) {
    for (const auto& [problem, where, remedy] : error.problems())
      problems.push_back({problem, where, std::string(kMappingForm) + "; " + remedy});
  }
  return mapping;
}

void check_ratio(double value, bool zero_allowed, const std::string& flag, std::vector<Problem>& problems) {
  if (std::isfinite(value) && value <= 1 && (zero_allowed ? value >= 0 : value > 0)) return;
  problems.push_back({"the ratio " + Json(value).dump() + " is out of range", flag,
                      zero_allowed ? "give a value from 0 to 1" : "give a value above 0, at most 1"});
}

void check_text(const std::string& text, const std::string& flag, std::vector<Problem>& problems) {
  if (const auto offset = find_invalid_utf8(text); offset != text.npos)
    problems.push_back({"byte " + std::to_string(offset) + " is not UTF-8", flag, "give the text as UTF-8"});
  if (text.find('\0') != text.npos) problems.push_back({"the text holds a NUL byte", flag, "remove it"});
}

}  // namespace

void resolve(DatasetOptions& options, const std::set<std::string>& given) {
  options.describes_dataset = std::any_of(given.begin(), given.end(), [](const std::string& name) {
    return (name.starts_with("hfdc_") && name != "hfdc_num_proc") || name == "data";
  });
  if (options.data.empty() && options.hfdc_dataset_name == kDefaultDataset) return;
  if (!given.contains("hfdc_dataset_config")) options.hfdc_dataset_config.clear();
  if (!given.contains("hfdc_field_mapping")) options.hfdc_field_mapping = "{}";
}

std::string describe(const DatasetOptions& options) {
  std::string text;
  const auto line = [&](const char* name, const std::string& value) {
    text += std::string(name) + ": " + value + "\n";
  };
  std::vector<Problem> ignored;  // validate() has reported them
  for (const auto& dataset : datasets_of(options, ignored))
    line("dataset", dataset.name + (dataset.weight ? ", weight " + Json(*dataset.weight).dump() : ""));
  line("config", options.hfdc_dataset_config.empty() ? "default" : options.hfdc_dataset_config);
  line("split", options.hfdc_split);
  line("train ratio", Json(options.hfdc_train_split_ratio).dump());
  line("test share of the rest", Json(options.hfdc_val_test_split_ratio).dump());
  if (!options.hfdc_messages_field.empty()) {
    line("chats in the column", options.hfdc_messages_field);
    line("field mapping", options.hfdc_field_mapping);
    return text;
  }
  line("input template", Json(options.hfdc_input_template).dump());
  line("output template", Json(options.hfdc_output_template).dump());
  line("field mapping", options.hfdc_field_mapping);
  return text;
}

RowFormat row_format(const DatasetOptions& options, std::vector<Problem>& problems) {
  const auto escapes = template_escapes_of(options.template_escapes);
  const auto mapping = parse_mapping(options.hfdc_field_mapping, problems);
  const auto column = [&](const std::string& name) {
    const auto mapped = mapping.find(name);
    return mapped == mapping.end() ? name : mapped->second;
  };
  RowFormat format;
  if (!options.hfdc_messages_field.empty()) {
    format.chat = {options.hfdc_messages_field, column("tools")};
    format.columns = {{"messages", format.chat->messages}, {"tools", format.chat->tools}};
  } else {
    format.input = Template::parse(options.hfdc_input_template, escapes, "--hfdc_input_template", problems);
    format.output =
        Template::parse(options.hfdc_output_template, escapes, "--hfdc_output_template", problems);
    for (const auto* fields : {&format.input.fields(), &format.output.fields()})
      for (const auto& name : *fields) format.columns[name] = column(name);
  }
  for (const auto& [name, mapped] : mapping)
    if (!format.columns.contains(name))
      format.warnings.push_back("the mapping of \"" + name + "\" to \"" + mapped +
                                "\" is not used by a template");
  return format;
}

void DatasetOptions::validate(std::vector<Problem>& problems) const {
  check_text(hfdc_dataset_name, "--hfdc_dataset_name", problems);
  for (const auto& text : data) check_text(text, "--data", problems);
  if (!data.empty() && hfdc_dataset_name != kDefaultDataset)
    problems.push_back({"--hfdc_dataset_name names one dataset, and --data others", "--data",
                        "give the former to --data too"});
  check_text(hfdc_dataset_config, "--hfdc_dataset_config", problems);
  check_text(hfdc_split, "--hfdc_split", problems);
  check_revision(hfdc_revision, "--hfdc_revision", problems);
  check_text(hfdc_input_template, "--hfdc_input_template", problems);
  check_text(hfdc_output_template, "--hfdc_output_template", problems);
  check_text(data_dir, "--data_dir", problems);
  check_ratio(hfdc_train_split_ratio, false, "--hfdc_train_split_ratio", problems);
  check_ratio(hfdc_val_test_split_ratio, true, "--hfdc_val_test_split_ratio", problems);
  if (hfdc_split.empty() || hfdc_split.find_first_of("[]+%") != hfdc_split.npos)
    problems.push_back({"\"" + hfdc_split + "\" is not the name of a split", "--hfdc_split",
                        "name one split, such as train; slices and sums are not supported"});
  check_text(hfdc_messages_field, "--hfdc_messages_field", problems);
  const DatasetOptions defaults;
  for (const auto member : {&DatasetOptions::hfdc_input_template, &DatasetOptions::hfdc_output_template})
    if (!hfdc_messages_field.empty() && this->*member != defaults.*member)
      problems.push_back({"chats are written by the model's own template, but one was given too",
                          "--hfdc_messages_field",
                          "leave out --hfdc_input_template and --hfdc_output_template, or this flag"});
  const auto format = row_format(*this, problems);
  if (!format.chat && format.output.fields().empty())
    problems.push_back({"the template holds no {column}, so every sample would have the same output",
                        "--hfdc_output_template",
                        "name the column with the text to learn, such as {output}"});
  const auto name = name_of(datasets_of(*this, problems));
  if (name.find('\0') != name.npos) return;
  try {
    sanitized_component(name, '_', data.empty() ? "--hfdc_dataset_name" : "--data");
    if (!hfdc_dataset_config.empty()) sanitized_component(hfdc_dataset_config, '_', "--hfdc_dataset_config");
  } catch (const UserError& error) {
    problems.insert(problems.end(), error.problems().begin(), error.problems().end());
  }
}

}  // namespace anneal
