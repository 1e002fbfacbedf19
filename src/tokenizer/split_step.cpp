#include "tokenizer/split_step.h"

#include "tokenizer/unicode.h"

namespace anneal {
namespace {

struct Part {
  std::size_t begin, end;
  bool is_match;
};

// Matches and what lies between them. An empty match counts: it can merge with its neighbours.
void cut(std::string_view text, const std::vector<Match>& matches, bool invert, std::vector<Part>& parts) {
  std::size_t at = 0;
  for (const auto& match : matches) {
    if (match.begin != at) parts.push_back({at, match.begin, invert});
    parts.push_back({match.begin, match.end, !invert});
    at = match.end;
  }
  if (at != text.size()) parts.push_back({at, text.size(), invert});
}

void merge_with_previous(std::vector<Part>& parts) {
  std::vector<Part> out;
  bool previous_match = false;
  for (const auto& part : parts) {
    if (part.is_match && !previous_match && !out.empty())
      out.back().end = part.end;
    else
      out.push_back(part);
    previous_match = part.is_match;
  }
  parts = std::move(out);
}

void merge_with_next(std::vector<Part>& parts) {
  std::vector<Part> out;
  bool previous_match = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->is_match && !previous_match && !out.empty())
      out.back().begin = part->begin;
    else
      out.push_back(*part);
    previous_match = part->is_match;
  }
  parts.assign(out.rbegin(), out.rend());
}

void merge_contiguous(std::vector<Part>& parts) {
  std::vector<Part> out;
  bool previous_match = false;
  for (const auto& part : parts) {
    if (part.is_match == previous_match && !out.empty())
      out.back().end = part.end;
    else
      out.push_back(part);
    previous_match = part.is_match;
  }
  parts = std::move(out);
}

void arrange(std::vector<Part>& parts, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::kIsolated:
      return;
    case SplitBehavior::kRemoved:
      std::erase_if(parts, [](const Part& part) { return part.is_match; });
      return;
    case SplitBehavior::kMergedWithPrevious:
      return merge_with_previous(parts);
    case SplitBehavior::kMergedWithNext:
      return merge_with_next(parts);
    case SplitBehavior::kContiguous:
      return merge_contiguous(parts);
  }
}

}  // namespace

std::optional<SplitBehavior> split_behavior(const std::string& name) {
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return std::nullopt;
}

void split_words(WordList& list, SplitBehavior behavior, bool invert,
                 const std::function<void(std::string_view, std::vector<Match>&)>& find) {
  std::vector<Word> words;
  std::vector<Match> matches;
  std::vector<Part> parts;
  for (const auto& word : list.words) {
    matches.clear();
    parts.clear();
    find(list.view(word), matches);
    cut(list.view(word), matches, invert, parts);
    arrange(parts, behavior);
    for (const auto& part : parts)
      if (part.begin < part.end)
        words.push_back({word.begin + part.begin, word.begin + part.end, word.at_start && part.begin == 0});
  }
  list.words = std::move(words);
}

PatternSplit::PatternSplit(Regex pattern, SplitBehavior behavior, bool invert)
    : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {
  const bool keeps_each =
      behavior == SplitBehavior::kIsolated || (behavior == SplitBehavior::kRemoved && invert);
  words_are_matches_ = keeps_each && pattern_.covers_all_text();
}

void PatternSplit::apply(WordList& list) const {
  if (!words_are_matches_)
    return split_words(list, behavior_, invert_, [this](std::string_view text, std::vector<Match>& matches) {
      pattern_.find_all(text, matches);
    });
  static thread_local std::vector<Match> matches;
  static thread_local std::vector<Word> words;
  words.clear();
  for (const auto& word : list.words) {
    matches.clear();
    pattern_.find_all(list.view(word), matches);
    for (const auto& match : matches)
      words.push_back({word.begin + match.begin, word.begin + match.end, word.at_start && match.begin == 0});
  }
  std::swap(list.words, words);
}

void FlagSplit::apply(WordList& list) const {
  const auto* flags = code_point_flags();
  split_words(list, behavior_, false, [&](std::string_view text, std::vector<Match>& matches) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t begin = at;
      if (flags[next_code_point(text, at)] & flag_) matches.push_back({begin, at});
    }
  });
}

void WhitespaceSplit::apply(WordList& list) const {
  const auto* flags = code_point_flags();
  const auto kind_at = [&](std::string_view text, std::size_t& at) {
    const auto of = flags[next_code_point(text, at)];
    return of & kCharWordFlag ? 1 : of & kCharSpaceFlag ? 0 : 2;
  };
  split_words(list, SplitBehavior::kRemoved, true, [&](std::string_view text, std::vector<Match>& matches) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t begin = at;
      const int kind = kind_at(text, at);
      for (std::size_t next = at; next < text.size() && kind_at(text, next) == kind;) at = next;
      if (kind != 0) matches.push_back({begin, at});
    }
  });
}

}  // namespace anneal
