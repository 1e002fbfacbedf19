#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "tokenizer/unicode.h"

namespace anneal {
namespace {

AddedToken load_token(const Component& component) {
  return {component.value<std::string>("content"), component.value<bool>("single_word"),
          component.value<bool>("lstrip"),         component.value<bool>("rstrip"),
          component.value<bool>("normalized"),     component.value<bool>("special")};
}

bool is_word_before(std::string_view text, std::size_t at) {
  if (at == 0) return false;
  std::size_t start = previous_start(text, at);
  return code_point_flags()[next_code_point(text, start)] & kCharWordFlag;
}

bool is_word_at(std::string_view text, std::size_t at) {
  return at < text.size() && code_point_flags()[next_code_point(text, at)] & kCharWordFlag;
}

std::size_t before_spaces(std::string_view text, std::size_t at) {
  while (at > 0) {
    const std::size_t start = previous_start(text, at);
    std::size_t next = start;
    if (!(code_point_flags()[next_code_point(text, next)] & kCharSpaceFlag)) break;
    at = start;
  }
  return at;
}

std::size_t after_spaces(std::string_view text, std::size_t at) {
  for (std::size_t next = at; next < text.size(); at = next)
    if (!(code_point_flags()[next_code_point(text, next)] & kCharSpaceFlag)) break;
  return at;
}

}  // namespace

void TextMatcher::add(std::string_view text, std::int32_t id) {
  std::int32_t node = 0;
  for (const char c : text) {
    const auto [found, added] = nodes_[node].next.try_emplace(c, static_cast<std::int32_t>(nodes_.size()));
    node = found->second;
    if (added) nodes_.emplace_back();
  }
  nodes_[node].id = id;
  const auto first = static_cast<unsigned char>(text[0]);
  is_first_byte_[first] = true;
  only_first_byte_ = only_first_byte_ == -1 || only_first_byte_ == first ? first : 256;
}

std::optional<TextMatcher::Found> TextMatcher::find(std::string_view text, std::size_t at) const {
  if (empty()) return std::nullopt;
  for (; at < text.size(); ++at) {
    if (only_first_byte_ < 256) at = text.find(static_cast<char>(only_first_byte_), at);
    if (at >= text.size()) return std::nullopt;
    if (!is_first_byte_[static_cast<unsigned char>(text[at])]) continue;
    std::optional<Found> longest;
    std::int32_t node = 0;
    for (std::size_t end = at; end < text.size();) {
      const auto next = nodes_[node].next.find(text[end++]);
      if (next == nodes_[node].next.end()) break;
      node = next->second;
      if (nodes_[node].id >= 0) longest = {at, end, nodes_[node].id};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

AddedTokens::AddedTokens(const Component& component, const Vocabulary& vocabulary,
                         const Normalizer& normalizer) {
  if (component.json.is_null()) return;
  if (!component.json.is_array()) component.damaged("this is not a list");
  std::vector<AddedToken> tokens, special, plain;
  for (std::size_t i = 0; i < component.json.size(); ++i)
    tokens.push_back(load_token({component.json.at(i), component.where + "[" + std::to_string(i) + "]"}));
  for (const auto& token : tokens)
    if (token.special && !token.content.empty() && special_.insert(token.content).second)
      special.push_back(token);
  assign_ids(tokens, vocabulary, plain);
  special.insert(special.end(), plain.begin(), plain.end());
  for (const auto& token : special) {
    Segment segment{token.content};
    if (token.normalized) normalizer.apply(segment);
    if (segment.text.empty())
      component.unsupported("the added token \"" + token.content +
                            "\", of which the normalizer leaves nothing,");
    (token.normalized ? normalized_ : raw_).add(segment.text, *id(token.content));
    pieces_[*id(token.content)] = segment.text;
  }
}

void AddedTokens::assign_ids(const std::vector<AddedToken>& tokens, const Vocabulary& vocabulary,
                             std::vector<AddedToken>& plain) {
  std::int32_t largest = -1;
  const auto is_known = [this](const AddedToken& token) {
    const auto found = ids_.find(token.content);
    return found != ids_.end() && by_id_.at(found->second) == token;
  };
  for (const auto& token : tokens) {
    if (token.content.empty() || is_known(token)) continue;
    auto known = id(token.content);
    if (!known) known = vocabulary.id(token.content);
    const std::int32_t next = std::max(largest + 1, static_cast<std::int32_t>(vocabulary.size()));
    const std::int32_t assigned = known.value_or(next);
    largest = std::max(largest, assigned);
    ids_[token.content] = assigned;
    by_id_[assigned] = token;
    if (!special_.contains(token.content)) plain.push_back(token);
  }
}

void AddedTokens::split(std::string_view text, bool normalized, bool special,
                        std::vector<Part>& parts) const {
  const TextMatcher& matcher = normalized ? normalized_ : raw_;
  std::size_t copied = 0;
  for (auto found = matcher.find(text, 0); found; found = matcher.find(text, found->end)) {
    auto [begin, end, id] = *found;
    const AddedToken& token = by_id_.at(id);
    if (!special && is_special(token.content)) continue;
    if (token.single_word && (is_word_before(text, begin) || is_word_at(text, end))) continue;
    if (token.lstrip) begin = std::max(before_spaces(text, begin), copied);
    if (token.rstrip) end = after_spaces(text, end);
    if (copied < begin) parts.push_back({copied, begin});
    parts.push_back({begin, end, id});
    copied = end;
  }
  if (copied != text.size()) parts.push_back({copied, text.size()});
}

std::optional<std::int32_t> AddedTokens::id(std::string_view content) const {
  const auto found = ids_.find(content);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* AddedTokens::piece(std::int32_t id) const {
  const auto found = pieces_.find(id);
  return found == pieces_.end() ? nullptr : &found->second;
}

}  // namespace anneal
