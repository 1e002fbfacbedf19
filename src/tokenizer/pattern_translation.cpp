// Source of the syntax: doc/RE of Oniguruma 6.9 ("Oniguruma" syntax, no options), checked by parity_test.py.
#include "tokenizer/pattern_translation.h"

#include <fmt/format.h>

#include "tokenizer/pattern_class.h"

namespace anneal {
namespace {

class Translation {
 public:
  explicit Translation(std::string_view pattern) : cursor_{to_code_points(pattern)} {}

  std::string run() {
    std::string out = alternatives(false);
    if (!cursor_.done()) throw UnsupportedPattern("an unmatched )");
    return out;
  }

 private:
  std::string alternatives(bool ignore_case) {
    if (++depth_ > 100) throw UnsupportedPattern("more than 100 nested groups");
    std::string out;
    std::u32string folded_literals;  // consecutive letters of a part where case is ignored
    while (!cursor_.done() && cursor_.peek() != ')') {
      if (cursor_.accept(U"|")) {
        out += '|';
        folded_literals.clear();
        continue;
      }
      out += quantified(term(ignore_case, folded_literals));
    }
    --depth_;
    return out;
  }

  std::string term(bool ignore_case, std::u32string& folded_literals) {
    const char32_t c = cursor_.take();
    if (ignore_case && c != '[' && c != '(') refuse_ligatures(c, folded_literals);
    switch (c) {
      case '(':
        return group(ignore_case);
      case '[':
        return pcre_class(parse_bracket_class(cursor_, ignore_case));
      case '\\':
        return escape(ignore_case);
      case '.':
        return "[^\\x{A}]";
      case '^':
        return "(?m:^)";
      case '$':
        return "(?m:$)";
      case '*':
      case '+':
      case '?':
      case '{':
        throw UnsupportedPattern("a quantifier without a target");
      default:
        return literal(c, ignore_case);
    }
  }

  // "ss", "st", "ff", "fi" and "fl" also match single characters where case is ignored.
  static void refuse_ligatures(char32_t c, std::u32string& literals) {
    literals.push_back(c | 0x20);
    if (literals.size() < 2) return;
    const auto last = literals.substr(literals.size() - 2);
    if (last == U"ss" || last == U"st" || last == U"ff" || last == U"fi" || last == U"fl")
      throw UnsupportedPattern("letters with a ligature where case is ignored");
  }

  static std::string literal(char32_t c, bool ignore_case) {
    return ignore_case ? pcre_class(case_variants(c)) : pcre_class({{c, c}});
  }

  std::string escape(bool ignore_case) {
    if (const auto set = parse_class_escape(cursor_, false)) {
      if (ignore_case) throw UnsupportedPattern("a class escape where case is ignored");
      return pcre_class(*set);
    }
    switch (cursor_.peek()) {
      case 'A':
      case 'z':
      case 'Z':
        return {'\\', static_cast<char>(cursor_.take())};
      case 'b':
        ++cursor_.at;
        return word_boundary();
      default:
        return literal(parse_literal_escape(cursor_), ignore_case);
    }
  }

  static std::string word_boundary() {
    const auto word = pcre_class(regex_word_set(false));
    return fmt::format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", word);
  }

  std::string group(bool ignore_case) {
    static constexpr std::pair<std::u32string_view, std::string_view> kOpenings[] = {
        {U"?:", "(?:"}, {U"?=", "(?="}, {U"?!", "(?!"}, {U"?<=", "(?<="}, {U"?<!", "(?<!"}, {U"?>", "(?>"},
    };
    std::string opening;
    for (const auto& [theirs, ours] : kOpenings)
      if (opening.empty() && cursor_.accept(theirs)) opening = ours;
    if (opening.empty() && cursor_.accept(U"?i:")) {
      opening = "(?:";
      ignore_case = true;
    }
    if (opening.empty() && cursor_.accept(U"?-i:")) {
      opening = "(?:";
      ignore_case = false;
    }
    if (opening.empty() && (cursor_.peek() == '?' || cursor_.peek() == '*'))
      throw UnsupportedPattern(fmt::format("the group ({}", to_utf8(cursor_.text.substr(cursor_.at, 3))));
    if (opening.empty()) opening = "(?:";  // captures have no use: back references are refused
    std::string out = opening + alternatives(ignore_case);
    if (!cursor_.accept(U")")) throw UnsupportedPattern("an unfinished group");
    return out + ")";
  }

  std::string quantified(std::string term) {
    for (;;) {
      const char32_t c = cursor_.peek();
      if (c == '*' || c == '+' || c == '?') {
        ++cursor_.at;
        std::string quantifier(1, static_cast<char>(c));
        if (cursor_.peek() == '?' || cursor_.peek() == '+')
          quantifier += static_cast<char>(cursor_.take());  // lazy and possessive: as in PCRE2
        term = "(?:" + term + quantifier + ")";
      } else if (c == '{') {
        term = "(?:" + term + interval() + ")";
      } else {
        return term;
      }
    }
  }

  // {n} {n,} {,n} {n,m}. A following + repeats the whole, and a ? after {n} makes the whole optional.
  std::string interval() {
    ++cursor_.at;
    const std::string low = digits();
    const bool range = cursor_.accept(U",");
    const std::string high = range ? digits() : low;
    if ((low.empty() && high.empty()) || !cursor_.accept(U"}"))
      throw UnsupportedPattern("a brace that is not a quantifier");
    if (!high.empty() && std::stoi(low.empty() ? "0" : low) > std::stoi(high))
      throw UnsupportedPattern("a quantifier with its bounds exchanged");
    const bool lazy = range && cursor_.accept(U"?");
    return "{" + (low.empty() ? "0" : low) + (range ? "," + high : "") + "}" + (lazy ? "?" : "");
  }

  std::string digits() {
    std::string out;
    while (cursor_.peek() >= '0' && cursor_.peek() <= '9') out += static_cast<char>(cursor_.take());
    if (out.size() > 5) throw UnsupportedPattern("a quantifier above 99999");
    return out;
  }

  PatternCursor cursor_;
  int depth_ = 0;
};

}  // namespace

std::string translate_pattern(std::string_view pattern) { return Translation(pattern).run(); }

}  // namespace anneal
