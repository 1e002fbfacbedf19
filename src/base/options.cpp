#include "base/options.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "base/nearest.h"

namespace anneal {
namespace {

std::string number_text(double value) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

void check_range(double value, const FieldTraits& traits) {
  const bool low = traits.exclusive_minimum ? value <= traits.minimum : value < traits.minimum;
  const bool high = traits.exclusive_maximum ? value >= traits.maximum : value > traits.maximum;
  if (low)
    throw std::invalid_argument(std::string("a value ") +
                                (traits.exclusive_minimum ? "above " : "of at least ") +
                                number_text(traits.minimum));
  if (high)
    throw std::invalid_argument(std::string("a value ") +
                                (traits.exclusive_maximum ? "below " : "of at most ") +
                                number_text(traits.maximum));
}

void check_choice(const std::string& value, const FieldTraits& traits) {
  if (traits.choices.empty()) return;
  if (std::find(traits.choices.begin(), traits.choices.end(), value) != traits.choices.end()) return;
  std::string list;
  for (const auto choice : traits.choices) list += (list.empty() ? "" : ", ") + std::string(choice);
  throw std::invalid_argument("one of " + list);
}

template <class Number>
Number parse_number(const std::string& text, const FieldTraits& traits, const char* expected) {
  Number value{};
  const char* end = text.data() + text.size();
  const char* begin = text.data() + (text.size() > 1 && text[0] == '+' ? 1 : 0);
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (error != std::errc() || stop != end) throw std::invalid_argument(expected);
  if constexpr (std::is_floating_point_v<Number>)
    if (!std::isfinite(value)) throw std::invalid_argument("a finite number");
  check_range(static_cast<double>(value), traits);
  return value;
}

std::int64_t parse_integer(const std::string& text, const FieldTraits& traits) {
  return parse_number<std::int64_t>(text, traits, "a whole number");
}

std::int64_t integer_of(const Json& value, const FieldTraits& traits) {
  if (!value.is_number_integer()) throw std::invalid_argument("a whole number");
  check_range(value.get<double>(), traits);
  return value.get<std::int64_t>();
}

bool parse_boolean(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  if (text == "true" || text == "1" || text == "yes") return true;
  if (text == "false" || text == "0" || text == "no") return false;
  throw std::invalid_argument("true or false");
}

bool is_boolean_word(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text == "true" || text == "false" || text == "yes" || text == "no";
}

std::string text_of(const Json& value, const FieldTraits& traits) {
  if (traits.json_text && (value.is_object() || value.is_array())) return value.dump();
  if (!value.is_string())
    throw std::invalid_argument(traits.json_text ? "a JSON object or its text" : "a text");
  check_choice(value.get<std::string>(), traits);
  return value.get<std::string>();
}

// Of a few short words a misspelt one begins as it was meant: "gpu" is not meant to be cpu.
Problem wrong_value(const Option& option, const std::string& given, const std::string& expected) {
  std::vector<std::string> choices;
  for (const auto choice : option.traits.choices)
    if (!given.empty() && choice.starts_with(given[0])) choices.emplace_back(choice);
  const auto nearest = nearest_name(given, choices);
  return {"\"" + given + "\" is not " + expected, "--" + option.name,
          nearest.empty() ? "give " + expected : "did you mean " + nearest + "?"};
}

}  // namespace

void OptionTable::add(const std::string& name, std::int64_t& value, const std::string& help,
                      const FieldTraits& traits) {
  options_.push_back({name, "int", std::to_string(value), help, traits,
                      [&value, traits](const std::string& text) { value = parse_integer(text, traits); },
                      [&value, traits](const Json& json) { value = integer_of(json, traits); },
                      [&value] { return Json(value); }});
}

void OptionTable::add(const std::string& name, double& value, const std::string& help,
                      const FieldTraits& traits) {
  options_.push_back(
      {name, "float", number_text(value), help, traits,
       [&value, traits](const std::string& text) { value = parse_number<double>(text, traits, "a number"); },
       [&value, traits](const Json& json) {
         if (!json.is_number()) throw std::invalid_argument("a number");
         check_range(json.get<double>(), traits);
         value = json.get<double>();
       },
       [&value] { return Json(value); }});
}

void OptionTable::add(const std::string& name, bool& value, const std::string& help,
                      const FieldTraits& traits) {
  options_.push_back({name, "bool", value ? "true" : "false", help, traits,
                      [&value](const std::string& text) { value = parse_boolean(text); },
                      [&value](const Json& json) {
                        if (!json.is_boolean()) throw std::invalid_argument("true or false");
                        value = json.get<bool>();
                      },
                      [&value] { return Json(value); }});
}

void OptionTable::add(const std::string& name, std::string& value, const std::string& help,
                      const FieldTraits& traits) {
  options_.push_back({name, "text", value, help, traits,
                      [&value, traits](const std::string& text) {
                        check_choice(text, traits);
                        value = text;
                      },
                      [&value, traits](const Json& json) { value = text_of(json, traits); },
                      [&value] { return Json(value); }});
}

void OptionTable::add(const std::string& name, std::optional<std::int64_t>& value, const std::string& help,
                      const FieldTraits& traits) {
  options_.push_back({name, "int", value ? std::to_string(*value) : "", help, traits,
                      [&value, traits](const std::string& text) { value = parse_integer(text, traits); },
                      [&value, traits](const Json& json) {
                        if (json.is_null())
                          value.reset();
                        else
                          value = integer_of(json, traits);
                      },
                      [&value] { return value ? Json(*value) : Json(nullptr); }});
}

void OptionTable::add(const std::string& name, std::optional<std::string>& value, const std::string& help,
                      const FieldTraits& traits) {
  options_.push_back({name, "text", value.value_or(""), help, traits,
                      [&value, traits](const std::string& text) {
                        check_choice(text, traits);
                        value = text;
                      },
                      [&value, traits](const Json& json) {
                        if (json.is_null())
                          value.reset();
                        else
                          value = text_of(json, traits);
                      },
                      [&value] { return value ? Json(*value) : Json(nullptr); }});
}

void OptionTable::add(const std::string& name, std::vector<std::string>& value, const std::string& help,
                      const FieldTraits& traits) {
  const auto set_text = [&value](const std::string& text) { value.push_back(text); };
  const auto set_json = [&value](const Json& json) {
    const auto is_text = [](const Json& item) { return item.is_string(); };
    if (!json.is_array() || !std::all_of(json.begin(), json.end(), is_text))
      throw std::invalid_argument("an array of texts");
    value = json.get<std::vector<std::string>>();
  };
  options_.push_back(
      {name, "text", "", help, traits, set_text, set_json, [&value] { return Json(value); }, true});
}

Option* OptionTable::find(const std::string& name) {
  const auto found = std::find_if(options_.begin(), options_.end(),
                                  [&](const Option& option) { return option.name == name; });
  return found == options_.end() ? nullptr : &*found;
}

Option* OptionTable::positional() {
  const auto found = std::find_if(options_.begin(), options_.end(),
                                  [](const Option& option) { return option.traits.positional; });
  return found == options_.end() ? nullptr : &*found;
}

// Where none is near, the first with the name in it: --num_train_epochs for epochs.
std::string OptionTable::nearest_option(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& option : options_) names.push_back(option.name);
  const auto nearest = nearest_name(name, names);
  if (!nearest.empty()) return nearest;
  const auto holds_it = [&](const std::string& option) { return option.find(name) != std::string::npos; };
  const auto found = std::find_if(names.begin(), names.end(), holds_it);
  return name.size() > 2 && found != names.end() ? *found : "";
}

void OptionTable::parse_config_file(const std::string& path, std::set<std::string>& given,
                                    std::vector<Problem>& problems) {
  try {
    const Json object = read_json_file(path, ExitCode::kUsage);
    if (!object.is_object())
      fail(ExitCode::kUsage, "a config file holds one JSON object", path, "write {\"option\": value, ...}");
    for (const auto& [key, value] : object.items()) {
      Option* option = find(key);
      if (option == nullptr) {
        const auto nearest = nearest_option(key);
        problems.push_back(
            {"unknown key \"" + key + "\"", path,
             nearest.empty() ? "see --help for the list" : "did you mean \"" + nearest + "\"?"});
        continue;
      }
      try {
        option->set_json(value);
        given.insert(key);
      } catch (const std::invalid_argument& error) {
        problems.push_back({"\"" + key + "\": " + value.dump() + " is not " + error.what(), path,
                            std::string("give ") + error.what()});
      }
    }
  } catch (const UserError& error) {
    problems.insert(problems.end(), error.problems().begin(), error.problems().end());
  }
}

std::set<std::string> OptionTable::parse(std::span<const std::string> arguments,
                                         std::vector<Problem>& problems, std::vector<std::string>& warnings) {
  struct Given {
    std::string name, value;
    bool has_value;
  };
  std::set<std::string> names;
  std::vector<std::pair<Option*, std::string>> assignments;
  std::vector<std::string> config_files;
  for (std::size_t index = 0; index < arguments.size(); ++index) {
    const std::string& argument = arguments[index];
    if (argument.size() < 3 || argument.compare(0, 2, "--") != 0) {
      if (auto* option = argument.starts_with('-') ? nullptr : positional()) {
        if (!names.insert(option->name).second && !option->is_list)
          problems.push_back({"\"" + argument + "\" is one word too many", "command line", "give one"});
        assignments.emplace_back(option, argument);
        continue;
      }
      const bool has_one_dash = argument.starts_with('-') && argument.size() > 1;
      const auto nearest = has_one_dash ? nearest_option(argument.substr(1)) : "";
      problems.push_back(
          {"\"" + argument + "\" is not a flag", "command line",
           nearest.empty() ? "flags look like --name value" : "did you mean --" + nearest + "?"});
      const bool has_value =
          has_one_dash && index + 1 < arguments.size() && !arguments[index + 1].starts_with('-');
      if (has_value) ++index;  // one message is enough
      continue;
    }
    const auto equals = argument.find('=');
    Given flag{argument.substr(2, equals == std::string::npos ? equals : equals - 2), "",
               equals != std::string::npos};
    if (flag.has_value) flag.value = argument.substr(equals + 1);
    std::replace(flag.name.begin(), flag.name.end(), '-', '_');
    const auto next_value = [&]() -> bool {
      if (flag.has_value) return true;
      if (index + 1 >= arguments.size()) return false;
      const std::string& next = arguments[index + 1];
      if (next.size() > 2 && next.compare(0, 2, "--") == 0 &&
          std::isalpha(static_cast<unsigned char>(next[2])))
        return false;
      flag.value = arguments[++index];
      return true;
    };
    Option* option = find(flag.name);
    bool negated = false;
    if (option == nullptr && flag.name.rfind("no_", 0) == 0 && !flag.has_value) {
      option = find(flag.name.substr(3));
      negated = option != nullptr && option->type == "bool";
      if (!negated) option = nullptr;
    }
    if (option == nullptr && flag.name == "config") {
      if (next_value())
        config_files.push_back(flag.value);
      else
        problems.push_back({"a value is missing", "--config", "give the path of a JSON file"});
      continue;
    }
    if (option == nullptr) {
      const auto nearest = nearest_option(flag.name);
      problems.push_back({"unknown flag", "--" + flag.name,
                          nearest.empty() ? "see --help for the list" : "did you mean --" + nearest + "?"});
      if (!flag.has_value && index + 1 < arguments.size() && arguments[index + 1].rfind("--", 0) != 0)
        ++index;
      continue;
    }
    if (negated) {
      flag.value = "false";
    } else if (option->type == "bool") {
      if (!flag.has_value && index + 1 < arguments.size() && is_boolean_word(arguments[index + 1]))
        flag.value = arguments[++index];
      else if (!flag.has_value)
        flag.value = "true";
    } else if (!next_value()) {
      problems.push_back({"a value is missing", "--" + option->name, "give --" + option->name + " VALUE"});
      continue;
    }
    if (!names.insert(option->name).second && !option->is_list)
      warnings.push_back("--" + option->name + " is given more than once; the last one counts");
    assignments.emplace_back(option, flag.value);
  }
  for (const auto& path : config_files) parse_config_file(path, names, problems);
  std::set<const Option*> started;  // lists whose items of a config file have given way to the flags
  for (const auto& [option, text] : assignments) {
    try {
      if (option->is_list && started.insert(option).second) option->set_json(Json::array());
      option->set_text(text);
    } catch (const std::invalid_argument& error) {
      problems.push_back(wrong_value(*option, text, error.what()));
    }
  }
  return names;
}

void OptionTable::load(const Json& object, const std::string& where) {
  for (const auto& [key, value] : object.items()) {
    Option* option = find(key);
    if (option == nullptr)
      fail(ExitCode::kUsage, "unknown key \"" + key + "\"", where, "use the program that wrote it");
    try {
      option->set_json(value);
    } catch (const std::invalid_argument& error) {
      fail(ExitCode::kUsage, "\"" + key + "\" is not " + error.what(), where,
           "use the program that wrote it");
    }
  }
}

Json OptionTable::to_json() const {
  Json object = Json::object();
  for (const auto& option : options_) object[option.name] = option.value();
  return object;
}

}  // namespace anneal
