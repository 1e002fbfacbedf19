// Reading a BPE model and the symbols that a word begins with. The merging is in bpe_merge.cpp.
#include "tokenizer/bpe_model.h"

#include <fmt/format.h>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/unicode.h"

namespace anneal {
namespace {

constexpr std::string_view kSpaceMarker =
    "\xE2\x96\x81";  // U+2581, for a space in SentencePiece vocabularies

// Views of strings in `merge`.
std::pair<std::string_view, std::string_view> parse_merge(const Json& merge, const Component& merges,
                                                          std::size_t rank) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
  if (merge.is_string()) {
    const std::string_view text = merge.get_ref<const std::string&>();
    const auto space = text.find(' ');
    if (space != text.npos && text.find(' ', space + 1) == text.npos)
      return {text.substr(0, space), text.substr(space + 1)};
  }
  merges.damaged(fmt::format("merge {} is not a pair of tokens: {}", rank, merge.dump()));
}

bool has_marker_inside(std::string_view token) {
  for (std::size_t at = 0; (at = token.find(kSpaceMarker, at)) != token.npos; at += kSpaceMarker.size())
    if (at > 0 && !token.substr(0, at).ends_with(kSpaceMarker)) return true;
  return false;
}

}  // namespace

BpeModel::BpeModel(const Component& component, bool reads_bytes)
    : WordModel(component), reads_bytes_(reads_bytes), where_(component.where) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!component.value_or<std::string>(key, "").empty())
      component.unsupported(fmt::format("the BPE option \"{}\"", key));
  if (component.value_or<double>("dropout", 0) != 0) component.unsupported("the BPE option \"dropout\"");
  ignore_merges_ = component.value_or<bool>("ignore_merges", false);
  byte_fallback_ = component.value_or<bool>("byte_fallback", false);
  fuse_unk_ = component.value_or<bool>("fuse_unk", false);
  if (component.json.contains("unk_token") && !component.json.at("unk_token").is_null()) {
    unk_token_ = component.value<std::string>("unk_token");
    unk_id_ = vocabulary.id(*unk_token_).value_or(-1);
  }
  load_merges(component);
  load_initial_symbols();
}

void BpeModel::load_merges(const Component& component) {
  const Component list = component.child("merges");
  if (!list.json.is_array()) list.damaged("this is not a list");
  merges_ = MergeTable(list.json.size());
  const auto known_id = [&](std::string_view token, std::size_t rank) {
    const auto found = vocabulary.id(token);
    if (!found) list.damaged(fmt::format("merge {} names \"{}\", which the vocabulary lacks", rank, token));
    return *found;
  };
  // If no merge joins another character with a following marker, the symbols on both sides never meet, and a
  // long text falls apart into words. A run of unknown characters ends there too, as the marker is known.
  bool falls_apart = !reads_bytes_ && !ignore_merges_ && vocabulary.id(kSpaceMarker);
  std::uint32_t rank = 0;
  std::string merged;
  for (const auto& merge : list.json) {
    if (merge.is_string() && merge.get_ref<const std::string&>().starts_with("#version")) continue;
    const auto [left, right] = parse_merge(merge, list, rank);
    merged.assign(left).append(right);
    const std::int32_t left_id = known_id(left, rank), right_id = known_id(right, rank);
    merges_.set(left_id, right_id, {rank, known_id(merged, rank)});
    falls_apart = falls_apart && !has_marker_inside(merged);
    ++rank;
  }
  if (falls_apart) marker_ = kSpaceMarker;
}

void BpeModel::load_initial_symbols() {
  for (int byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = vocabulary.id(to_utf8({&byte_alphabet()[byte], 1})).value_or(-1);
    fallback_ids_[byte] = vocabulary.id(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
  if (reads_bytes_) return;
  vocabulary.for_each([this](const std::string& token, std::int32_t id) {
    if (token.empty() || !is_valid_utf8(token)) return;
    std::size_t at = 0;
    const char32_t c = next_code_point(token, at);
    if (at != token.size()) return;
    if (character_ids_.size() <= c) character_ids_.resize(c + 1, -1);
    character_ids_[c] = id;
  });
}

std::optional<std::int32_t> BpeModel::whole_word_id(std::string_view word) const {
  return reads_bytes_ ? vocabulary.id(bytes_to_characters(word)) : vocabulary.id(word);
}

// The id of the symbol at `at`, which moves past it; -1, with `character` as the vocabulary would write it,
// where there is none.
std::int32_t BpeModel::known_symbol(std::string_view word, std::size_t& at, std::string& character) const {
  if (reads_bytes_) {
    const auto byte = static_cast<unsigned char>(word[at++]);
    if (byte_ids_[byte] < 0) character = to_utf8({&byte_alphabet()[byte], 1});
    return byte_ids_[byte];
  }
  const std::size_t begin = at;
  const char32_t c = next_code_point(word, at);
  const std::int32_t id = c < character_ids_.size() ? character_ids_[c] : -1;
  if (id < 0) character = word.substr(begin, at - begin);
  return id;
}

bool BpeModel::append_fallback(std::string_view character, std::vector<std::int32_t>& symbols) const {
  if (!byte_fallback_) return false;
  for (const char byte : character)
    if (fallback_ids_[static_cast<unsigned char>(byte)] < 0) return false;
  for (const char byte : character) symbols.push_back(fallback_ids_[static_cast<unsigned char>(byte)]);
  return true;
}

// An unknown token waits until the next known symbol or the end of the word. The library lets bytes of a
// fallback pass it meanwhile, and drops unknown characters where the model names no unknown token; so do we.
void BpeModel::initial_symbols(std::string_view word, std::vector<std::int32_t>& symbols) const {
  bool unknown_waits = false;
  std::string character;
  for (std::size_t at = 0; at < word.size();) {
    const std::int32_t id = known_symbol(word, at, character);
    if (id >= 0) {
      if (unknown_waits) symbols.push_back(unk_id_);
      unknown_waits = false;
      symbols.push_back(id);
    } else if (!append_fallback(character, symbols) && unk_token_) {
      if (unk_id_ < 0)
        fail(ExitCode::kModel, fmt::format("the vocabulary lacks the unknown token \"{}\"", *unk_token_),
             where_, "use a complete, unmodified file");
      if (unknown_waits && !fuse_unk_) symbols.push_back(unk_id_);
      unknown_waits = true;
    }
  }
  if (unknown_waits) symbols.push_back(unk_id_);
}

}  // namespace anneal
