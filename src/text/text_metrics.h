// Measures of how alike two texts, valid UTF-8, are that need no model. All are symmetric and in [0, 1].
#pragma once
#include <span>
#include <string_view>

namespace anneal {

// Without the white space around it; white space is what Python's str.strip() takes.
std::string_view strip(std::string_view text);

// The texts are equal but for white space around them.
bool exact_match(std::string_view candidate, std::string_view reference);

// ROUGE-L (Lin 2004) as the package rouge_score gives it without stemming: 2PR / (P + R) with P and R the
// longest common subsequence of words over the words of each text; words are runs of a-z and 0-9 in lower
// case.
double rouge_l_f1(std::string_view candidate, std::string_view reference);

// The F1 of SQuAD (Rajpurkar et al. 2016, with version 2's rule for empty texts): words in common, counted as
// often as both texts have them. Lower case; without ASCII punctuation and the words a, an, the; cut at white
// space.
double token_f1(std::string_view candidate, std::string_view reference);

// The text without the header that it may begin with.
inline std::string_view without_header(std::string_view header, std::string_view text) {
  return text.starts_with(header) ? text.substr(header.size()) : text;
}

// Of one pair, in [0, 1].
struct TextMetric {
  const char* key;  // in metrics.json
  const char* title;
  double (*of)(std::string_view prediction, std::string_view label);
};

std::span<const TextMetric> text_metrics();  // those above

}  // namespace anneal
