// The tokens of a model and their ids, both ways.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/component.h"

namespace anneal {

class Vocabulary {
 public:
  // `component`: the object of tokens and ids. Throws UserError(kModel) where it is damaged.
  explicit Vocabulary(const Component& component);
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  std::optional<std::int32_t> id(std::string_view token) const;
  const std::string* token(std::int32_t id) const;  // null where there is none
  std::int64_t size() const { return static_cast<std::int64_t>(ids_.size()); }
  std::int32_t largest_id() const { return static_cast<std::int32_t>(tokens_.size()) - 1; }

  template <class Visit>  // visit(token, id)
  void for_each(Visit visit) const {
    for (const auto& [token, id] : ids_) visit(token, id);
  }

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>> ids_;
  std::vector<const std::string*> tokens_;  // by id
};

}  // namespace anneal
