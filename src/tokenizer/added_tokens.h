// The tokens that a tokenizer.json lists beside its model: found in the text before anything else is done
// with it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/component.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/vocabulary.h"

namespace anneal {

struct AddedToken {
  std::string content;
  bool single_word = false, lstrip = false, rstrip = false, normalized = true, special = false;
  bool operator==(const AddedToken&) const = default;
};

// Finds the longest of several texts at the leftmost place.
class TextMatcher {
 public:
  void add(std::string_view text, std::int32_t id);  // of equal texts the last counts
  bool empty() const { return nodes_.size() == 1; }
  struct Found {
    std::size_t begin, end;
    std::int32_t id;
  };
  std::optional<Found> find(std::string_view text, std::size_t at) const;

 private:
  struct Node {
    std::map<char, std::int32_t> next;
    std::int32_t id = -1;
  };
  std::vector<Node> nodes_ = std::vector<Node>(1);
  bool is_first_byte_[256] = {};
  int only_first_byte_ = -1;  // -1: none; 256: several
};

class AddedTokens {
 public:
  // The part of a text up to the next token, or a token.
  struct Part {
    std::size_t begin, end;
    std::int32_t id = -1;  // -1: text
  };

  AddedTokens() = default;
  // `component`: the list in the file, may be null. Ids are given as the library does: those of the model's
  // vocabulary, then the numbers after it in order; the ids in the file play no part.
  AddedTokens(const Component& component, const Vocabulary& vocabulary, const Normalizer& normalizer);

  // `normalized`: of normalized text with the tokens that ask for it, otherwise of raw text with the others.
  // Without `special`, special tokens are text.
  void split(std::string_view text, bool normalized, bool special, std::vector<Part>& parts) const;

  std::optional<std::int32_t> id(std::string_view content) const;
  // What the vocabulary shows for an id: the normalized text of a token that asks for it. Null where there is
  // none.
  const std::string* piece(std::int32_t id) const;
  bool is_special(std::string_view content) const { return special_.contains(content); }
  bool has_normalized() const { return !normalized_.empty(); }
  const std::map<std::int32_t, AddedToken>& by_id() const { return by_id_; }

 private:
  void assign_ids(const std::vector<AddedToken>& tokens, const Vocabulary& vocabulary,
                  std::vector<AddedToken>& plain);

  std::map<std::string, std::int32_t, std::less<>> ids_;
  std::map<std::int32_t, AddedToken> by_id_;
  std::map<std::int32_t, std::string> pieces_;
  std::set<std::string, std::less<>> special_;
  TextMatcher raw_, normalized_;
};

}  // namespace anneal
