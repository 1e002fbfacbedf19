#include "text/text_metrics.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tokenizer/unicode.h"

namespace anneal {
namespace {

bool is_space(char32_t c) {
  // Python counts the four separators of ASCII too.
  return (c >= 0x1C && c <= 0x1F) || code_point_flags()[c] & kCharSpaceFlag;
}

bool is_ascii_alphanumeric(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_ascii_punctuation(char32_t c) {
  return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) ||
         (c >= 0x7B && c <= 0x7E);
}

// A letter or number: what Python's \w takes, but for the underscore, which is punctuation here.
bool is_alphanumeric(char32_t c) { return code_point_flags()[c] & (kLetterFlag | kNumberFlag); }

std::u32string lowercase(std::string_view text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    out += lowercase_of(c);
  }
  return out;
}

// The runs of characters that `belongs` takes.
template <class Belongs>
std::vector<std::u32string> words_of(const std::u32string& text, Belongs belongs) {
  std::vector<std::u32string> words;
  bool inside = false;
  for (const char32_t c : text) {
    if (belongs(c)) {
      if (!inside) words.emplace_back();
      words.back() += c;
    }
    inside = belongs(c);
  }
  return words;
}

std::size_t longest_common_subsequence(const std::vector<std::u32string>& a,
                                       const std::vector<std::u32string>& b) {
  std::vector<std::size_t> row(b.size() + 1, 0);
  for (const auto& word : a) {
    std::size_t diagonal = 0;
    for (std::size_t at = 0; at < b.size(); ++at) {
      const std::size_t above = row[at + 1];
      row[at + 1] = word == b[at] ? diagonal + 1 : std::max(above, row[at]);
      diagonal = above;
    }
  }
  return row.back();
}

double f1_of(std::size_t common, std::size_t candidate, std::size_t reference) {
  return common == 0 ? 0 : 2.0 * static_cast<double>(common) / static_cast<double>(candidate + reference);
}

// As SQuAD's script: articles go where they are words among letters and numbers, even inside of "a-b".
std::u32string without_articles(const std::u32string& text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && is_alphanumeric(text[end])) ++end;
    const auto word = text.substr(at, end - at);
    out += word == U"a" || word == U"an" || word == U"the" ? U" " : word;
    for (at = end; at < text.size() && !is_alphanumeric(text[at]); ++at) out += text[at];
  }
  return out;
}

std::vector<std::u32string> squad_words(std::string_view text) {
  constexpr char32_t kSigma = U'σ', kFinalSigma = U'ς';
  auto plain = lowercase(text);
  std::erase_if(plain, is_ascii_punctuation);
  std::replace(plain.begin(), plain.end(), kFinalSigma,
               kSigma);  // Python writes the one that the place asks for
  return words_of(without_articles(plain), [](char32_t c) { return !is_space(c); });
}

}  // namespace

std::string_view strip(std::string_view text) {
  const auto is_space_at = [&](std::size_t at) { return is_space(next_code_point(text, at)); };
  while (!text.empty() && is_space_at(0)) text.remove_prefix(utf8_length(text.front()));
  while (!text.empty() && is_space_at(previous_start(text, text.size())))
    text = text.substr(0, previous_start(text, text.size()));
  return text;
}

bool exact_match(std::string_view candidate, std::string_view reference) {
  return strip(candidate) == strip(reference);
}

double rouge_l_f1(std::string_view candidate, std::string_view reference) {
  const auto a = words_of(lowercase(candidate), is_ascii_alphanumeric);
  const auto b = words_of(lowercase(reference), is_ascii_alphanumeric);
  return f1_of(longest_common_subsequence(a, b), a.size(), b.size());
}

double token_f1(std::string_view candidate, std::string_view reference) {
  const auto a = squad_words(candidate), b = squad_words(reference);
  if (a.empty() || b.empty()) return a == b ? 1 : 0;
  std::map<std::u32string, std::size_t> left;
  for (const auto& word : b) ++left[word];
  std::size_t common = 0;
  for (const auto& word : a) {
    const auto found = left.find(word);
    if (found == left.end() || found->second == 0) continue;
    --found->second;
    ++common;
  }
  return f1_of(common, a.size(), b.size());
}

std::span<const TextMetric> text_metrics() {
  static constexpr TextMetric kMetrics[] = {{"exact_match", "exact match",
                                             [](std::string_view prediction, std::string_view label) {
                                               return exact_match(prediction, label) ? 1.0 : 0.0;
                                             }},
                                            {"rougeL", "ROUGE-L", rouge_l_f1},
                                            {"token_f1", "token F1", token_f1}};
  return kMetrics;
}

}  // namespace anneal
