#include "tokenizer/word_piece_model.h"

#include <algorithm>

#include "tokenizer/unicode.h"

namespace anneal {

WordPieceModel::WordPieceModel(const Component& component)
    : WordModel(component),
      continuing_prefix_(component.value<std::string>("continuing_subword_prefix")),
      max_characters_(component.value<std::size_t>("max_input_chars_per_word")) {
  const auto unknown = component.value<std::string>("unk_token");
  const auto id = vocabulary.id(unknown);
  if (!id) component.damaged("the vocabulary lacks the unknown token \"" + unknown + "\"");
  unknown_id_ = *id;
}

void WordPieceModel::encode(std::string_view word, WordScratch&, std::vector<std::int32_t>& ids) const {
  const auto before = ids.size();
  const auto characters =
      std::count_if(word.begin(), word.end(), [](char byte) { return (byte & 0xC0) != 0x80; });
  if (static_cast<std::size_t>(characters) <= max_characters_ && append_pieces(word, ids)) return;
  ids.resize(before);
  ids.push_back(unknown_id_);
}

bool WordPieceModel::append_pieces(std::string_view word, std::vector<std::int32_t>& ids) const {
  std::string rest(word);
  for (std::size_t fixed = 0; rest.size() > fixed;) {  // bytes of the prefix, which is no part of the word
    std::string_view piece = rest;
    auto id = vocabulary.id(piece);
    while (!id && piece.size() > fixed) {
      piece = piece.substr(0, previous_start(piece, piece.size()));
      if (piece.size() > fixed) id = vocabulary.id(piece);
    }
    if (!id) return false;
    ids.push_back(*id);
    rest = continuing_prefix_ + rest.substr(piece.size());
    fixed = continuing_prefix_.size();
  }
  return true;
}

}  // namespace anneal
