#include "tokenizer/vocabulary.h"

#include <fmt/format.h>

namespace anneal {

Vocabulary::Vocabulary(const Component& component) {
  constexpr std::int32_t kMaxId = 1 << 24;
  if (!component.json.is_object()) component.damaged("this is not an object");
  ids_.reserve(component.json.size());
  for (const auto& [token, value] : component.json.items()) {
    if (!value.is_number_integer() || value < 0 || value >= kMaxId)
      component.damaged(fmt::format("the id of \"{}\" is {}", token, value.dump()));
    const auto id = value.get<std::int32_t>();
    const auto entry = ids_.emplace(token, id).first;
    if (tokens_.size() <= static_cast<std::size_t>(id)) tokens_.resize(id + 1);
    tokens_[id] = &entry->first;
  }
}

std::optional<std::int32_t> Vocabulary::id(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* Vocabulary::token(std::int32_t id) const {
  return id >= 0 && static_cast<std::size_t>(id) < tokens_.size() ? tokens_[id] : nullptr;
}

}  // namespace anneal
