// A component of tokenizer.json together with its place in the file, for messages.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace anneal {

struct Component {
  const Json& json;
  std::string where;  // "path/tokenizer.json: normalizer[1]"

  std::string type() const { return required<std::string>(json, "type", where, ExitCode::kModel); }
  template <class T>
  T value(const char* key) const {
    return required<T>(json, key, where, ExitCode::kModel);
  }
  template <class T>
  T value_or(const char* key, T fallback) const {
    return optional<T>(json, key, std::move(fallback), where, ExitCode::kModel);
  }
  Component child(const char* key) const;
  std::vector<Component> children(const char* key) const;  // the elements of a list

  [[noreturn]] void unsupported(const std::string& what) const;
  [[noreturn]] void unsupported_type() const { unsupported("the component \"" + type() + "\""); }
  [[noreturn]] void damaged(const std::string& what) const;
};

}  // namespace anneal
