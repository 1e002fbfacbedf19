#include "tokenizer/decode_stream.h"

#include <span>

namespace anneal {
namespace {

constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

}  // namespace

DecodeStream::DecodeStream(const Tokenizer& tokenizer, bool skip_special_tokens)
    : tokenizer_(&tokenizer), skip_special_tokens_(skip_special_tokens) {}

std::string DecodeStream::add(std::int32_t id) {
  ids_.push_back(id);
  return advance(/*is_last=*/false);
}

std::string DecodeStream::finish() { return advance(/*is_last=*/true); }

std::string DecodeStream::advance(bool is_last) {
  auto text = decoded(0);
  if (!is_last && text.ends_with(kReplacementCharacter)) return "";
  // Bytes that make no character may spoil those before them, which have been given.
  const bool goes_on = text.starts_with(given_text_);
  text = goes_on ? text.substr(given_text_.size()) : decoded(given_);
  if (text.empty()) return "";
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(given_));
  given_ = ids_.size();
  given_text_ = decoded(0);
  return text;
}

std::string DecodeStream::decoded(std::size_t first) const {
  return tokenizer_->decode(std::span(ids_).subspan(first), skip_special_tokens_);
}

}  // namespace anneal
