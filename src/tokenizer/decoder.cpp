#include "tokenizer/decoder.h"

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/pattern_component.h"
#include "tokenizer/unicode.h"

namespace anneal {
namespace {

constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

class ByteLevelStep : public DecoderStep {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const auto& token : tokens)
      if (!append_bytes_of_characters(token, bytes)) bytes += token;
    tokens.assign(1, repair_utf8(bytes));
  }
};

class ReplaceStep : public DecoderStep {
 public:
  ReplaceStep(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (auto& token : tokens) token = replace_all(token, pattern_, content_);
  }

 private:
  Regex pattern_;
  std::string content_;
};

// Value of <0x41>; -1 for all else.
int fallback_byte(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'                     ? c - '0'
                      : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                               : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

class ByteFallbackStep : public DecoderStep {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (is_valid_utf8(bytes)) {
        if (!bytes.empty()) out.push_back(bytes);
      } else {
        out.insert(out.end(), bytes.size(), std::string(kReplacementCharacter));
      }
      bytes.clear();
    };
    for (auto& token : tokens) {
      const int byte = fallback_byte(token);
      if (byte >= 0) {
        bytes.push_back(static_cast<char>(byte));
      } else {
        flush();
        out.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(out);
  }
};

class FuseStep : public DecoderStep {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const auto& token : tokens) all += token;
    tokens.assign(1, std::move(all));
  }
};

class StripStep : public DecoderStep {
 public:
  StripStep(std::string content, std::size_t start, std::size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (auto& token : tokens) {
      std::string_view rest = token;
      for (std::size_t i = 0; i < start_ && rest.starts_with(content_); ++i)
        rest.remove_prefix(content_.size());
      for (std::size_t i = 0; i < stop_ && rest.ends_with(content_); ++i) rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  std::size_t start_, stop_;
};

// Spaces for the replacement; in the first token it is dropped where encoding may have put it.
class MetaspaceStep : public DecoderStep {
 public:
  MetaspaceStep(std::string replacement, bool prepends)
      : pattern_(Regex::literal(replacement)), prepends_(prepends) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = replace_all(tokens[i], pattern_, i == 0 && prepends_ ? "" : " ");
  }

 private:
  Regex pattern_;
  bool prepends_;
};

// A space before every token that begins a word. The cleanup is the library's, token by token.
class WordPieceStep : public DecoderStep {
 public:
  WordPieceStep(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) {
        if (token.starts_with(prefix_))
          token.erase(0, prefix_.size());
        else
          token.insert(0, " ");
      }
      if (cleanup_) clean(token);
    }
  }

 private:
  static void clean(std::string& token) {
    constexpr std::pair<const char*, const char*> kRules[] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : kRules) token = replace_all(token, Regex::literal(from), to);
  }

  std::string prefix_;
  bool cleanup_;
};

bool metaspace_prepends(const Component& component) {
  if (component.json.contains("prepend_scheme"))
    return component.value<std::string>("prepend_scheme") != "never";
  return component.value_or<bool>("add_prefix_space", true);
}

// Length of the longest well-formed or truncated beginning of a code point, and whether it is complete.
std::pair<std::size_t, bool> code_point_part(std::string_view bytes) {
  const auto byte = [&](std::size_t i) {
    return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {1, true};
  const std::size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  if (length == 0) return {1, false};
  const unsigned lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < lowest || byte(1) > highest) return {1, false};
  for (std::size_t i = 2; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return {i, false};
  return {length, true};
}

}  // namespace

std::string repair_utf8(std::string_view bytes) {
  if (is_valid_utf8(bytes)) return std::string(bytes);
  std::string out;
  while (!bytes.empty()) {
    const auto [length, complete] = code_point_part(bytes);
    out += complete ? bytes.substr(0, length) : kReplacementCharacter;
    bytes.remove_prefix(length);
  }
  return out;
}

Decoder::Decoder(const Component& component) : is_null_(component.json.is_null()) {
  if (!is_null_) add(component);
}

void Decoder::add(const Component& component) {
  const std::string type = component.type();
  const auto push = [this](auto step) {
    steps_.push_back(std::make_unique<decltype(step)>(std::move(step)));
  };
  if (type == "Sequence") {
    for (const auto& child : component.children("decoders")) add(child);
  } else if (type == "ByteLevel") {
    push(ByteLevelStep());
  } else if (type == "Replace") {
    push(ReplaceStep(load_pattern(component), component.value<std::string>("content")));
  } else if (type == "ByteFallback") {
    push(ByteFallbackStep());
  } else if (type == "Fuse") {
    push(FuseStep());
  } else if (type == "Strip") {
    push(StripStep(component.value<std::string>("content"), component.value<std::size_t>("start"),
                   component.value<std::size_t>("stop")));
  } else if (type == "WordPiece") {
    push(WordPieceStep(component.value<std::string>("prefix"), component.value_or<bool>("cleanup", true)));
  } else if (type == "Metaspace") {
    push(MetaspaceStep(component.value<std::string>("replacement"), metaspace_prepends(component)));
  } else {
    component.unsupported_type();
  }
}

std::string Decoder::decode(std::vector<std::string> tokens) const {
  for (const auto& step : steps_) step->apply(tokens);
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (is_null_ && i > 0) text.push_back(' ');
    text += tokens[i];
  }
  return text;
}

}  // namespace anneal
