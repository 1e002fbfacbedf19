#include <fmt/format.h>

#include <map>
#include <set>

#include "report/html.h"
#include "report/page_sections.h"

namespace anneal {
namespace {

using Settings = std::map<std::string, Json>;

// All that a run was made of: its options, and the plan that the machine gave it.
Settings settings_of(const ReportedRun& run) {
  Settings settings;
  for (const auto& [name, value] : run.record["options"].items()) settings[name] = value;
  for (const char* part : {"plan", "data"})
    if (const auto found = run.record.find(part); found != run.record.end() && found->is_object())
      for (const auto& [name, value] : found->items()) settings[std::string(part) + "." + name] = value;
  for (const char* key : {"run_id", "resumed_from", "base_weights_sha256"})
    if (run.record.contains(key)) settings[key] = run.record[key];
  return settings;
}

std::string value_html(const Json& value) {
  if (value.is_null() || value == "") return "&ndash;";
  auto text = value.is_string() ? value.get<std::string>()
                                : value.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (std::size_t at = 0; (at = text.find('\n', at)) != text.npos; at += 2) text.replace(at, 1, "\\n");
  return "<code>" + escaped(text) + "</code>";
}

std::string all_settings_html(const std::vector<std::string>& head, const std::vector<Settings>& all,
                              const std::set<std::string>& names) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& name : names) {
    rows.push_back({"<code>" + escaped(name) + "</code>"});
    for (const auto& settings : all) {
      const auto found = settings.find(name);
      rows.back().push_back(found == settings.end() ? "&ndash;" : value_html(found->second));
    }
  }
  return table_html(head, rows, false);
}

// The options of one run that are not as they would be by default.
std::string changed_html(const ReportedRun& run, const Json& defaults) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : run.record["options"].items())
    if (defaults.contains(name) && defaults[name] != value)
      rows.push_back({"<code>" + escaped(name) + "</code>", value_html(value), value_html(defaults[name])});
  if (rows.empty()) return "<p>Every option is at its default.</p>\n";
  return "<h3>Changed from the default</h3>\n" + table_html({"Option", "This run", "Default"}, rows, false);
}

std::string differences_html(const std::vector<std::string>& head, const std::vector<Settings>& all,
                             const std::set<std::string>& names) {
  std::set<std::string> different;
  for (const auto& name : names)
    for (const auto& settings : all) {
      const auto here = settings.find(name), there = all.front().find(name);
      const auto value = [&](const auto& at, const Settings& in) {
        return at == in.end() ? Json() : at->second;
      };
      if (value(here, settings) != value(there, all.front())) different.insert(name);
    }
  different.erase("run_id");
  if (different.empty()) return "<p>All runs have the same options.</p>\n";
  return "<h3>What differs</h3>\n" + all_settings_html(head, all, different);
}

}  // namespace

std::string options_section(const ReportedRuns& runs, const Json& defaults) {
  std::vector<std::string> head = {"Option"};
  std::vector<Settings> all;
  std::set<std::string> names;
  for (std::size_t number = 0; number < runs.size(); ++number) {
    all.push_back(settings_of(runs[number]));
    for (const auto& [name, value] : all.back()) names.insert(name);
    head.push_back(runs.size() == 1 ? "Value" : swatch_html(number) + escaped(runs[number].name));
  }
  return "<section id=\"options\">\n<h2>Configuration</h2>\n" +
         (runs.size() == 1 ? changed_html(runs.front(), defaults) : differences_html(head, all, names)) +
         "<details><summary>All options</summary>\n" + all_settings_html(head, all, names) +
         "</details>\n</section>\n";
}

}  // namespace anneal
