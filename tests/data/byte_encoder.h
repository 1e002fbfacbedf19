// A tokenizer that can be followed by hand.
#pragma once
#include <algorithm>

#include "data/example.h"

namespace anneal {

inline constexpr std::int32_t kBos = 1, kEos = 2;

// A byte is a token; "$" in the text is the end of sequence.
class ByteEncoder : public ExampleEncoder {
 public:
  bool has_bos = true;
  bool has_eos = true;

  std::vector<std::int32_t> encode_prompt(std::string_view text) const override {
    std::vector<std::int32_t> ids;
    if (has_bos) ids.push_back(kBos);
    for (const auto id : encode_continuation(text)) ids.push_back(id);
    return ids;
  }
  std::vector<std::int32_t> encode_continuation(std::string_view text) const override {
    std::vector<std::int32_t> ids;
    for (const char c : text) ids.push_back(c == '$' ? kEos : c);
    return ids;
  }
  CutIds encode_chat(std::string_view text, std::span<const std::size_t> cuts) const override {
    return {encode_continuation(text), {cuts.begin(), cuts.end()}};
  }
  std::int64_t count_specials(std::span<const std::int32_t> ids) const override {
    return std::count(ids.begin(), ids.end(), kEos);
  }
  std::optional<std::int32_t> eos_id() const override { return has_eos ? std::optional(kEos) : std::nullopt; }
};

}  // namespace anneal
