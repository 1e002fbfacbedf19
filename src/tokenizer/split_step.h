// Cutting words at the matches of a pattern or at characters of a kind.
#pragma once
#include <functional>
#include <optional>

#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/regex.h"

namespace anneal {

enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

std::optional<SplitBehavior> split_behavior(const std::string& name);

class PatternSplit : public PreTokenizerStep {
 public:
  PatternSplit(Regex pattern, SplitBehavior behavior, bool invert);
  void apply(WordList& list) const override;

 private:
  Regex pattern_;
  SplitBehavior behavior_;
  bool invert_;
  bool words_are_matches_;  // matches cover the text and each is a word
};

// Matches are single characters that have the flag.
class FlagSplit : public PreTokenizerStep {
 public:
  FlagSplit(std::uint16_t flag, SplitBehavior behavior) : flag_(flag), behavior_(behavior) {}
  void apply(WordList& list) const override;

 private:
  std::uint16_t flag_;
  SplitBehavior behavior_;
};

// Runs of word characters, runs of what is neither word nor space; spaces are dropped.
class WhitespaceSplit : public PreTokenizerStep {
 public:
  void apply(WordList& list) const override;
};

// Cuts every word of `list` at the matches that find(text, matches) gives.
void split_words(WordList& list, SplitBehavior behavior, bool invert,
                 const std::function<void(std::string_view, std::vector<Match>&)>& find);

}  // namespace anneal
