// WordPiece (Schuster and Nakajima 2012, as BERT uses it): a word is cut, from its start, into the longest
// pieces that the vocabulary has; where that fails, the whole word is unknown.
#pragma once
#include "tokenizer/word_model.h"

namespace anneal {

class WordPieceModel : public WordModel {
 public:
  // Throws UserError(kModel) on damaged models.
  explicit WordPieceModel(const Component& component);
  void encode(std::string_view word, WordScratch& scratch, std::vector<std::int32_t>& ids) const override;

 private:
  bool append_pieces(std::string_view word, std::vector<std::int32_t>& ids) const;

  std::string continuing_prefix_;  // of pieces that do not begin a word, "##"
  std::size_t max_characters_;     // longer words are unknown
  std::int32_t unknown_id_;
};

}  // namespace anneal
