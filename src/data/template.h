// Text templates with {column} placeholders: parsed once, filled in one pass, so braces in data stay data.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace anneal {

enum class TemplateEscapes {
  kNewline,  // \n and \\ only; every other backslash stays
  kC,        // \n \t \r \\ \" \uXXXX; any other is a mistake
  kNone,     // all backslashes stay
};

TemplateEscapes template_escapes_of(std::string_view name);  // "newline", "c", anything else is none

class Template {
 public:
  // `flag` names the option in problems, which are collected; each says at which character of `text` it is.
  static Template parse(std::string_view text, TemplateEscapes escapes, const std::string& flag,
                        std::vector<Problem>& problems);

  // The placeholders' names, each once, in order of first use.
  const std::vector<std::string>& fields() const { return fields_; }
  // The text before the first placeholder.
  std::string leading_text() const { return pieces_.empty() ? "" : pieces_.front().literal; }

  // `values` is parallel to fields().
  void append_to(std::string& out, std::span<const std::string_view> values) const;

 private:
  friend class TemplateParser;
  struct Piece {
    std::string literal;  // stands before the field
    int field = -1;       // index in fields_; -1: none follows
  };
  std::vector<Piece> pieces_;
  std::vector<std::string> fields_;
};

}  // namespace anneal
