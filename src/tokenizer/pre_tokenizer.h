// The pre-tokenizer of a tokenizer.json: cuts normalized text into the words that the model sees.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tokenizer/component.h"

namespace anneal {

struct Word {
  std::size_t begin, end;  // bytes of WordList::text
  bool at_start;           // its first character is the first of what was given to the tokenizer
};

struct WordList {
  std::string text;
  std::vector<Word> words;    // ascending, none empty; text between them was removed
  bool continuation = false;  // the text continues earlier text: nothing may be put before its start

  std::string_view view(const Word& word) const {
    return std::string_view(text).substr(word.begin, word.end - word.begin);
  }
};

class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  virtual void apply(WordList& list) const = 0;
};

class PreTokenizer {
 public:
  PreTokenizer() = default;
  explicit PreTokenizer(const Component& component);  // throws UserError(kModel) on what is not supported
  void apply(WordList& list) const;
  // The words are bytes that the model has to read through the byte alphabet; otherwise they are characters.
  bool gives_bytes() const { return gives_bytes_; }

 private:
  void add(const Component& component);
  void add_byte_level(const Component& component);
  std::vector<std::unique_ptr<PreTokenizerStep>> steps_;
  bool gives_bytes_ = false;
};

}  // namespace anneal
