#include "tokenizer/normalizer.h"

#include "tokenizer/normal_forms.h"
#include "tokenizer/pattern_component.h"
#include "tokenizer/unicode.h"

namespace anneal {
namespace {

class FormStep : public NormalizerStep {
 public:
  explicit FormStep(NormalForm form) : form_(form) {}
  void apply(Segment& segment) const override {
    if (!is_surely_normal(segment.text, form_)) segment.text = normalize(segment.text, form_);
  }

 private:
  NormalForm form_;
};

class PrependStep : public NormalizerStep {
 public:
  explicit PrependStep(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(Segment& segment) const override {
    const bool suppressed = segment.continuation && segment.at_start;
    if (!segment.text.empty() && !suppressed) segment.text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class ReplaceStep : public NormalizerStep {
 public:
  ReplaceStep(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(Segment& segment) const override {
    std::vector<Match> matches;
    pattern_.find_all(segment.text, matches);
    if (matches.empty()) return;
    // The library counts the replacement as standing where the last character it replaces stood.
    const Match first = matches.front();
    if (first.begin == 0 && first.end > 0)
      segment.at_start &=
          !content_.empty() && first.end == static_cast<std::size_t>(utf8_length(segment.text[0]));
    segment.text = replace_all(segment.text, pattern_, content_);
  }

 private:
  Regex pattern_;
  std::string content_;
};

class LowercaseStep : public NormalizerStep {
 public:
  void apply(Segment& segment) const override {
    std::string out;
    out.reserve(segment.text.size());
    for (std::size_t at = 0; at < segment.text.size();) {
      const char32_t c = next_code_point(segment.text, at);
      if (c < 0x80)
        out.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c));
      else
        for (const char32_t lower : lowercase_of(c)) append_utf8(out, lower);
    }
    segment.text = std::move(out);
  }
};

class StripStep : public NormalizerStep {
 public:
  StripStep(bool left, bool right) : left_(left), right_(right) {}
  void apply(Segment& segment) const override {
    const std::string_view text = segment.text;
    const auto* flags = code_point_flags();
    std::size_t begin = 0, end = text.size();
    for (std::size_t next = 0; left_ && next < end && flags[next_code_point(text, next)] & kCharSpaceFlag;)
      begin = next;
    while (right_ && end > begin) {
      const std::size_t start = previous_start(text, end);
      std::size_t after = start;
      if (!(flags[next_code_point(text, after)] & kCharSpaceFlag)) break;
      end = start;
    }
    if (begin > 0) segment.at_start = false;
    segment.text = segment.text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

// Calls write(flags, text, out) for each code point in turn, and takes `out` as the new text. Where nothing
// is written for the first one, the segment no longer begins where it did.
template <class Write>
void rewrite(Segment& segment, const Write& write) {
  const auto* flags = code_point_flags();
  std::string out;
  for (std::size_t at = 0; at < segment.text.size();) {
    const std::size_t start = at;
    const auto of = flags[next_code_point(segment.text, at)];
    write(of, std::string_view(segment.text).substr(start, at - start), out);
    if (start == 0 && out.empty()) segment.at_start = false;
  }
  segment.text = std::move(out);
}

// Drops the characters of a flag.
class StripAccentsStep : public NormalizerStep {
 public:
  explicit StripAccentsStep(std::uint16_t flag) : flag_(flag) {}
  void apply(Segment& segment) const override {
    rewrite(segment, [this](std::uint16_t flags, std::string_view text, std::string& out) {
      if (flags & flag_) return;
      out.append(text);
    });
  }

 private:
  std::uint16_t flag_;
};

// Without control characters, every kind of space as U+0020.
class BertCleanStep : public NormalizerStep {
 public:
  void apply(Segment& segment) const override {
    rewrite(segment, [](std::uint16_t flags, std::string_view text, std::string& out) {
      if (flags & kBertRemovedFlag) return;
      out.append(flags & kCharSpaceFlag ? " " : text);
    });
  }
};

// Makes every ideograph a word.
class BertIdeographStep : public NormalizerStep {
 public:
  void apply(Segment& segment) const override {
    rewrite(segment, [](std::uint16_t flags, std::string_view text, std::string& out) {
      const bool apart = flags & kBertIdeographFlag;
      if (apart) out.push_back(' ');
      out.append(text);
      if (apart) out.push_back(' ');
    });
  }
};

}  // namespace

Normalizer::Normalizer(const Component& component) {
  if (!component.json.is_null()) add(component);
}

void Normalizer::add(const Component& component) {
  const std::string type = component.type();
  const auto push = [this](auto step) {
    steps_.push_back(std::make_unique<decltype(step)>(std::move(step)));
  };
  if (type == "Sequence") {
    for (const auto& child : component.children("normalizers")) add(child);
  } else if (type == "NFC") {
    push(FormStep(NormalForm::kNfc));
  } else if (type == "NFD") {
    push(FormStep(NormalForm::kNfd));
  } else if (type == "NFKC") {
    push(FormStep(NormalForm::kNfkc));
  } else if (type == "NFKD") {
    push(FormStep(NormalForm::kNfkd));
  } else if (type == "Prepend") {
    push(PrependStep(component.value<std::string>("prepend")));
  } else if (type == "Replace") {
    push(ReplaceStep(load_pattern(component), component.value<std::string>("content")));
  } else if (type == "Lowercase") {
    push(LowercaseStep());
  } else if (type == "Strip") {
    push(StripStep(component.value<bool>("strip_left"), component.value<bool>("strip_right")));
  } else if (type == "StripAccents") {
    push(StripAccentsStep(kNonspacingMarkFlag));
  } else if (type == "BertNormalizer") {
    const bool lowercase = component.value<bool>("lowercase");
    if (component.value<bool>("clean_text")) push(BertCleanStep());
    if (component.value<bool>("handle_chinese_chars")) push(BertIdeographStep());
    if (component.value_or<bool>("strip_accents", lowercase)) {
      push(FormStep(NormalForm::kNfd));
      push(StripAccentsStep(kBertAccentFlag));
    }
    if (lowercase) push(LowercaseStep());
  } else {
    component.unsupported_type();
  }
}

void Normalizer::apply(Segment& segment) const {
  for (const auto& step : steps_) step->apply(segment);
}

}  // namespace anneal
