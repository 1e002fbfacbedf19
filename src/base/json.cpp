#include "base/json.h"

#include <set>

#include "base/file.h"

namespace anneal {
namespace {

constexpr int kMaximumDepth = 100;

template <class J>
J parse(std::string_view text, const std::string& where, ExitCode code) {
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int depth, typename J::parse_event_t event, J& parsed) {
    if (depth > kMaximumDepth) fail(code, "JSON is nested too deeply", where, "use a file with fewer levels");
    if (event == J::parse_event_t::object_start) keys.emplace_back();
    if (event == J::parse_event_t::object_end) keys.pop_back();
    if (event == J::parse_event_t::key && !keys.back().insert(parsed.template get<std::string>()).second)
      fail(code, "the key \"" + parsed.template get<std::string>() + "\" stands twice in one object", where,
           "remove one of the two");
    return true;
  };
  try {
    return J::parse(text.begin(), text.end(), check);
  } catch (const nlohmann::json::parse_error& error) {
    fail(code, "not valid JSON at byte " + std::to_string(error.byte > 0 ? error.byte - 1 : 0), where,
         "check the text there: " + std::string(error.what()));
  } catch (const nlohmann::json::out_of_range& error) {
    fail(code, "not valid JSON: a number is too large", where, "look for it: " + std::string(error.what()));
  }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where, ExitCode code) {
  return parse<Json>(text, where, code);
}

OrderedJson parse_ordered_json(std::string_view text, const std::string& where, ExitCode code) {
  return parse<OrderedJson>(text, where, code);
}

Json read_json_file(const std::filesystem::path& path, ExitCode code) {
  return parse_json(read_file(path, code), path.string(), code);
}

}  // namespace anneal
