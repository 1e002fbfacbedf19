// Byte-pair encoding of one word: byte-level, or of characters with a fallback to bytes or an unknown token.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/word_cache.h"
#include "tokenizer/word_model.h"

namespace anneal {

// BPE is the only model that needs any.
struct WordScratch {
  struct Symbol {
    std::int32_t id, previous, next;  // neighbours by position, -1 at the ends; id -1: merged away
  };
  struct Candidate {
    std::uint32_t rank, position;
    std::int32_t id;
  };
  WordCache cache;
  std::vector<std::int32_t> initial;
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
};

class BpeModel : public WordModel {
 public:
  // With `reads_bytes`, words are bytes and the vocabulary writes them in the byte alphabet.
  // Throws UserError(kModel) on damaged or unsupported models.
  BpeModel(const Component& component, bool reads_bytes);

  void encode(std::string_view word, WordScratch& scratch, std::vector<std::int32_t>& ids) const override;

 private:
  void load_merges(const Component& component);
  void load_initial_symbols();

  void encode_cached(std::string_view word, WordScratch& scratch, std::vector<std::int32_t>& ids) const;
  void encode_new(std::string_view word, WordScratch& scratch, std::vector<std::int32_t>& ids) const;
  std::optional<std::int32_t> whole_word_id(std::string_view word) const;
  void initial_symbols(std::string_view word, std::vector<std::int32_t>& symbols) const;
  std::int32_t known_symbol(std::string_view word, std::size_t& at, std::string& character) const;
  bool append_fallback(std::string_view character, std::vector<std::int32_t>& symbols) const;
  void merge_short(const std::vector<std::int32_t>& symbols, std::vector<std::int32_t>& ids) const;
  void merge_long(WordScratch& scratch, std::vector<std::int32_t>& ids) const;

  bool reads_bytes_;
  bool ignore_merges_ = false, byte_fallback_ = false, fuse_unk_ = false;
  std::optional<std::string> unk_token_;
  std::int32_t unk_id_ = -1;  // -1: the vocabulary lacks it
  std::string where_;
  MergeTable merges_;
  std::array<std::int32_t, 256> byte_ids_;      // of the byte alphabet, where words are bytes
  std::array<std::int32_t, 256> fallback_ids_;  // of <0x00> to <0xFF>
  std::vector<std::int32_t> character_ids_;     // by code point
  std::string marker_;  // words may be cut before this character where another precedes it; empty: never
};

}  // namespace anneal
