// Hand-written equivalents of the patterns by which GPT-2, Llama-3, Qwen and their relatives cut text into
// words. Each matches as the library's regex engine does on any text (parity_test.py).
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace anneal {

class WordSplitter {
 public:
  // Nothing where the pattern is not one of those known here.
  static std::optional<WordSplitter> for_pattern(std::string_view pattern);
  static constexpr std::string_view kGpt2Pattern =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

  // The end of the word that begins at `at` < text.size(); always past `at`.
  std::size_t word_end(std::string_view text, std::size_t at) const {
    return is_gpt2_ ? gpt2_word_end(text, at) : modern_word_end(text, at);
  }

 private:
  WordSplitter(bool is_gpt2, std::uint16_t word_flags, int max_digits);
  std::size_t gpt2_word_end(std::string_view text, std::size_t at) const;
  std::size_t modern_word_end(std::string_view text, std::size_t at) const;
  std::size_t skip(std::string_view text, std::size_t at, std::uint16_t flags) const;
  std::size_t skip_symbols(std::string_view text, std::size_t at) const;
  std::size_t digits_end(std::string_view text, std::size_t at) const;
  std::size_t space_end(std::string_view text, std::size_t at, bool newlines_end_words) const;

  const std::uint16_t* flags_;
  bool is_gpt2_;
  std::uint16_t word_flags_;  // what words are made of: letters, or letters and marks
  int max_digits_;            // digits of one number; 0: any number of them
};

}  // namespace anneal
