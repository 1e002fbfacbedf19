// Options as a table: made from the fields of a config struct, filled from the command line and --config
// files.
#pragma once
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/fields.h"
#include "base/json.h"

namespace anneal {

// One option, bound to a member of a config struct that outlives the table.
struct Option {
  std::string name;
  std::string type;          // "int", "float", "bool", "text"
  std::string default_text;  // "" where unset
  std::string help;
  FieldTraits traits;
  // Each throws std::invalid_argument with what was expected.
  std::function<void(const std::string&)> set_text;
  std::function<void(const Json&)> set_json;
  std::function<Json()> value;
  bool is_list = false;  // each occurrence of the flag adds an item; JSON gives an array
  std::string heading;   // of --help
};

class OptionTable {
 public:
  template <class Config>
  explicit OptionTable(Config& config) {
    Collector visit{*this, {""}};
    for_each_field(config, visit);
  }

  const std::vector<Option>& options() const { return options_; }

  // Fills the bound members: first from --config files, then from the flags. Problems are collected, not
  // thrown. Returns the names that were given. `warnings` gets a line for each flag given twice.
  std::set<std::string> parse(std::span<const std::string> arguments, std::vector<Problem>& problems,
                              std::vector<std::string>& warnings);

  // Fills the bound members from {"name": value}, every key known; for configs that this program wrote.
  void load(const Json& object, const std::string& where);

  Json to_json() const;

 private:
  struct Collector {
    OptionTable& table;
    std::vector<std::string> headings;  // of the groups that are open

    void enter(std::string_view heading) {
      headings.emplace_back(heading.empty() ? headings.back() : std::string(heading));
    }
    void leave() { headings.pop_back(); }
    void operator()(std::string_view name, auto& value, std::string_view help, const FieldTraits& traits) {
      if (!traits.heading.empty()) headings.back() = traits.heading;
      table.add(std::string(name), value, std::string(help), traits);
      table.options_.back().heading = headings.back();
    }
  };

  void add(const std::string& name, std::int64_t& value, const std::string& help, const FieldTraits& traits);
  void add(const std::string& name, double& value, const std::string& help, const FieldTraits& traits);
  void add(const std::string& name, bool& value, const std::string& help, const FieldTraits& traits);
  void add(const std::string& name, std::string& value, const std::string& help, const FieldTraits& traits);
  void add(const std::string& name, std::optional<std::int64_t>& value, const std::string& help,
           const FieldTraits& traits);
  void add(const std::string& name, std::optional<std::string>& value, const std::string& help,
           const FieldTraits& traits);
  void add(const std::string& name, std::vector<std::string>& value, const std::string& help,
           const FieldTraits& traits);
  Option* find(const std::string& name);
  Option* positional();
  std::string nearest_option(const std::string& name) const;
  void parse_config_file(const std::string& path, std::set<std::string>& given,
                         std::vector<Problem>& problems);

  std::vector<Option> options_;
};

}  // namespace anneal
