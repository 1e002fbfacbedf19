#include "tokenizer/component.h"

#include <fmt/format.h>

namespace anneal {

Component Component::child(const char* key) const {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) damaged(fmt::format("the key \"{}\" is missing", key));
  return {*found, where + "." + key};
}

std::vector<Component> Component::children(const char* key) const {
  const Component list = child(key);
  if (!list.json.is_array()) list.damaged("this is not a list");
  std::vector<Component> out;
  for (const auto& element : list.json) {
    out.push_back({element, fmt::format("{}[{}]", list.where, out.size())});
    if (!element.is_object()) out.back().damaged("this is not an object");
  }
  return out;
}

void Component::unsupported(const std::string& what) const {
  fail(ExitCode::kModel, what + " is not supported", where, "use a tokenizer of a supported model family");
}

void Component::damaged(const std::string& what) const {
  fail(ExitCode::kModel, what, where, "use a complete, unmodified file");
}

}  // namespace anneal
