#include "tokenizer/pre_tokenizer.h"

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/pattern_component.h"
#include "tokenizer/split_step.h"
#include "tokenizer/unicode.h"
#include "tokenizer/word_splitter.h"

namespace anneal {
namespace {

// Gives every word the text that rewrite(word text, word, out) appends to `out`.
template <class Rewrite>
void rewrite_words(WordList& list, Rewrite rewrite) {
  std::string text;
  text.reserve(list.text.size() + list.text.size() / 2);
  for (auto& word : list.words) {
    const std::size_t begin = text.size();
    rewrite(list.view(word), word, text);
    word.begin = begin;
    word.end = text.size();
  }
  list.text = std::move(text);
}

// ByteLevel's add_prefix_space.
class PrefixSpace : public PreTokenizerStep {
 public:
  void apply(WordList& list) const override {
    rewrite_words(list, [&](std::string_view text, const Word& word, std::string& out) {
      const bool suppressed = list.continuation && word.at_start;
      if (!text.starts_with(' ') && !suppressed) out.push_back(' ');
      out.append(text);
    });
  }
};

class ByteMapping : public PreTokenizerStep {
 public:
  void apply(WordList& list) const override {
    rewrite_words(
        list, [](std::string_view text, const Word&, std::string& out) { out += bytes_to_characters(text); });
  }
};

enum class PrependScheme { kAlways, kFirst, kNever };

class Metaspace : public PreTokenizerStep {
 public:
  Metaspace(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)),
        scheme_(scheme),
        split_(split),
        pattern_(Regex::literal(replacement_)) {}

  void apply(WordList& list) const override {
    rewrite_words(list, [&](std::string_view text, const Word& word, std::string& out) {
      const bool starts_with_it = text.starts_with(' ') || text.starts_with(replacement_);
      const bool wanted =
          scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && word.at_start);
      const bool suppressed = list.continuation && word.at_start;
      if (wanted && !starts_with_it && !suppressed) out += replacement_;
      for (const char c : text)
        if (c == ' ')
          out += replacement_;
        else
          out.push_back(c);
    });
    if (!split_) return;
    split_words(
        list, SplitBehavior::kMergedWithNext, false,
        [this](std::string_view text, std::vector<Match>& matches) { pattern_.find_all(text, matches); });
  }

 private:
  std::string replacement_;
  PrependScheme scheme_;
  bool split_;
  Regex pattern_;
};

PrependScheme prepend_scheme(const Component& component) {
  // Old files have only add_prefix_space.
  if (!component.json.contains("prepend_scheme"))
    return component.value_or<bool>("add_prefix_space", true) ? PrependScheme::kAlways
                                                              : PrependScheme::kNever;
  const auto name = component.value<std::string>("prepend_scheme");
  if (name == "always") return PrependScheme::kAlways;
  if (name == "first") return PrependScheme::kFirst;
  if (name == "never") return PrependScheme::kNever;
  component.unsupported("the prepend scheme \"" + name + "\"");
}

std::unique_ptr<PreTokenizerStep> load_metaspace(const Component& component) {
  const auto replacement = component.value<std::string>("replacement");
  if (to_code_points(replacement).size() != 1) component.damaged("the replacement is not one character");
  return std::make_unique<Metaspace>(replacement, prepend_scheme(component),
                                     component.value_or<bool>("split", true));
}

std::unique_ptr<PreTokenizerStep> load_split(const Component& component) {
  const auto name = component.value<std::string>("behavior");
  const auto behavior = split_behavior(name);
  if (!behavior) component.unsupported("the behavior \"" + name + "\"");
  return std::make_unique<PatternSplit>(load_pattern(component), *behavior, component.value<bool>("invert"));
}

}  // namespace

PreTokenizer::PreTokenizer(const Component& component) {
  if (!component.json.is_null()) add(component);
}

void PreTokenizer::add_byte_level(const Component& component) {
  if (component.value<bool>("add_prefix_space")) steps_.push_back(std::make_unique<PrefixSpace>());
  if (component.value_or<bool>("use_regex", true))
    steps_.push_back(
        std::make_unique<PatternSplit>(Regex(WordSplitter::kGpt2Pattern), SplitBehavior::kIsolated, false));
}

void PreTokenizer::add(const Component& component) {
  const std::string type = component.type();
  if (type == "Sequence") {
    for (const auto& child : component.children("pretokenizers")) add(child);
    return;
  }
  // Only a last ByteLevel can leave its mapping to the model.
  if (gives_bytes_) steps_.push_back(std::make_unique<ByteMapping>());
  gives_bytes_ = type == "ByteLevel";
  if (type == "ByteLevel") {
    add_byte_level(component);
  } else if (type == "Split") {
    steps_.push_back(load_split(component));
  } else if (type == "Digits") {
    const auto behavior =
        component.value<bool>("individual_digits") ? SplitBehavior::kIsolated : SplitBehavior::kContiguous;
    steps_.push_back(std::make_unique<FlagSplit>(kCharNumericFlag, behavior));
  } else if (type == "Metaspace") {
    steps_.push_back(load_metaspace(component));
  } else if (type == "WhitespaceSplit") {
    steps_.push_back(std::make_unique<FlagSplit>(kCharSpaceFlag, SplitBehavior::kRemoved));
  } else if (type == "BertPreTokenizer") {
    steps_.push_back(std::make_unique<FlagSplit>(kCharSpaceFlag, SplitBehavior::kRemoved));
    steps_.push_back(std::make_unique<FlagSplit>(kBertPunctuationFlag, SplitBehavior::kIsolated));
  } else if (type == "Whitespace") {
    steps_.push_back(std::make_unique<WhitespaceSplit>());
  } else {
    component.unsupported_type();
  }
}

void PreTokenizer::apply(WordList& list) const {
  for (const auto& step : steps_) step->apply(list);
}

}  // namespace anneal
