// The model of a tokenizer.json: one word to ids.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/component.h"
#include "tokenizer/vocabulary.h"

namespace anneal {

struct WordScratch;  // what one thread needs while it encodes

class WordModel {
 public:
  explicit WordModel(const Component& component) : vocabulary(component.child("vocab")) {}
  virtual ~WordModel() = default;
  virtual void encode(std::string_view word, WordScratch& scratch, std::vector<std::int32_t>& ids) const = 0;

  const Vocabulary vocabulary;
};

// With `reads_bytes`, words are bytes and the vocabulary writes them in the byte alphabet.
// Throws UserError(kModel) on damaged or unsupported models.
std::unique_ptr<WordModel> load_word_model(const Component& component, bool reads_bytes);

}  // namespace anneal
