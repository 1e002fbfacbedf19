// A pattern of tokenizer.json, compiled. The patterns of the common model families are matched by
// hand-written code, all others by PCRE2. Safe to use from several threads.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace anneal {

struct Match {
  std::size_t begin, end;
};

class Regex {
 public:
  // Throws UnsupportedPattern.
  explicit Regex(std::string_view pattern);
  static Regex literal(std::string_view text);  // matches `text` itself, which must not be empty
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // Appends all matches in valid UTF-8, left to right. An empty match right behind another match is left out.
  void find_all(std::string_view text, std::vector<Match>& matches) const;
  // The matches cover every text without a gap.
  bool covers_all_text() const;

 private:
  class Engine;
  class WordEngine;
  class LiteralEngine;
  class PcreEngine;
  explicit Regex(std::unique_ptr<Engine> engine);
  std::unique_ptr<Engine> engine_;
};

}  // namespace anneal
