#include "data/template.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "formats/utf8.h"

namespace anneal {
namespace {

bool is_name_start(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }
bool is_name_part(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }

// Behind the name that begins at `start`, such as column or column.key.0; `start` itself where none does.
std::size_t end_of_name(std::string_view text, std::size_t start) {
  auto end = start;
  if (end >= text.size() || !is_name_start(text[end])) return start;
  while (end < text.size() && (is_name_part(text[end]) ||
                               (text[end] == '.' && end + 1 < text.size() && is_name_part(text[end + 1]))))
    ++end;
  return end;
}

}  // namespace

class TemplateParser {
 public:
  TemplateParser(std::string_view text, TemplateEscapes escapes, const std::string& flag,
                 std::vector<Problem>& problems)
      : text_(text), escapes_(escapes), flag_(flag), problems_(problems) {}

  Template run() {
    while (position_ < text_.size()) {
      const char c = text_[position_];
      if (c == '{')
        read_open_brace();
      else if (c == '}')
        read_close_brace();
      else if (c == '\\' && escapes_ != TemplateEscapes::kNone)
        read_escape();
      else
        literal_ += text_[position_++];
    }
    if (!literal_.empty()) result_.pieces_.push_back({std::move(literal_), -1});
    return std::move(result_);
  }

 private:
  void report(std::size_t position, const std::string& problem, const std::string& remedy) {
    const auto before = text_.substr(0, position);
    const auto column =
        1 + std::count_if(before.begin(), before.end(), [](char c) { return (c & 0xC0) != 0x80; });
    problems_.push_back({problem, flag_ + ", column " + std::to_string(column), remedy});
  }

  bool take_if(std::string_view expected) {
    if (!text_.substr(position_).starts_with(expected)) return false;
    position_ += expected.size();
    return true;
  }

  void read_open_brace() {
    if (take_if("{{")) {
      literal_ += '{';
      return;
    }
    const std::size_t start = position_++;
    const std::size_t end = end_of_name(text_, position_);
    if (end == position_ || end >= text_.size() || text_[end] != '}') {
      const auto close = text_.find('}', position_);
      report(start,
             close == text_.npos
                 ? "the brace is not closed"
                 : "\"" + std::string(text_.substr(start, close + 1 - start)) + "\" is not a placeholder",
             "write {name} for a column, {name.key.0} for a value inside, {{ and }} for braces");
      position_ = close == text_.npos ? text_.size() : close + 1;
      return;
    }
    add_field(std::string(text_.substr(position_, end - position_)));
    position_ = end + 1;
  }

  void read_close_brace() {
    if (!take_if("}}")) {
      report(position_, "a closing brace without an opening one", "write }} for a brace");
      ++position_;
      return;
    }
    literal_ += '}';
  }

  void add_field(std::string name) {
    auto& fields = result_.fields_;
    const auto found = std::find(fields.begin(), fields.end(), name);
    const int index = static_cast<int>(found - fields.begin());
    if (found == fields.end()) fields.push_back(std::move(name));
    result_.pieces_.push_back({std::move(literal_), index});
    literal_.clear();
  }

  void read_escape() {
    if (take_if("\\n")) {
      literal_ += '\n';
    } else if (take_if("\\\\")) {
      literal_ += '\\';
    } else if (escapes_ == TemplateEscapes::kNewline) {
      literal_ += text_[position_++];
    } else if (take_if("\\t")) {
      literal_ += '\t';
    } else if (take_if("\\r")) {
      literal_ += '\r';
    } else if (take_if("\\\"")) {
      literal_ += '"';
    } else if (const auto start = position_; take_if("\\u")) {
      read_unicode_escape(start);
    } else {
      auto end = position_ + 2;
      while (end < text_.size() && (text_[end] & 0xC0) == 0x80) ++end;
      report(position_, "\"" + std::string(text_.substr(position_, end - position_)) + "\" is not an escape",
             "use one of \\n \\t \\r \\\\ \\\" \\uXXXX, or --template_escapes none");
      ++position_;
    }
  }

  std::optional<std::uint32_t> read_four_digits() {
    std::uint32_t unit = 0;
    const auto digits = text_.substr(position_, 4);
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
    if (digits.size() < 4 || error != std::errc() || stop != digits.data() + 4) return std::nullopt;
    position_ += 4;
    return unit;
  }

  void read_unicode_escape(std::size_t start) {
    auto code_point = read_four_digits();
    const bool is_high = code_point && *code_point >= 0xD800 && *code_point < 0xDC00;
    if (is_high) {
      const auto low = take_if("\\u") ? read_four_digits() : std::nullopt;
      code_point = low && *low >= 0xDC00 && *low < 0xE000
                       ? std::optional(0x10000 + ((*code_point - 0xD800) << 10) + (*low - 0xDC00))
                       : std::nullopt;
    }
    if (!code_point || (*code_point >= 0xD800 && *code_point < 0xE000)) {
      report(start, "\\u must name a character", "write four hexadecimal digits, or a pair of surrogates");
      return;
    }
    append_utf8(literal_, *code_point);
  }

  std::string_view text_;
  TemplateEscapes escapes_;
  const std::string& flag_;
  std::vector<Problem>& problems_;
  std::size_t position_ = 0;
  std::string literal_;
  Template result_;
};

TemplateEscapes template_escapes_of(std::string_view name) {
  if (name == "newline") return TemplateEscapes::kNewline;
  return name == "c" ? TemplateEscapes::kC : TemplateEscapes::kNone;
}

Template Template::parse(std::string_view text, TemplateEscapes escapes, const std::string& flag,
                         std::vector<Problem>& problems) {
  return TemplateParser(text, escapes, flag, problems).run();
}

void Template::append_to(std::string& out, std::span<const std::string_view> values) const {
  for (const auto& piece : pieces_) {
    out += piece.literal;
    if (piece.field >= 0) out += values[piece.field];
  }
}

}  // namespace anneal
