#include "tokenizer/pattern_component.h"

#include "tokenizer/pattern_translation.h"

namespace anneal {

Regex compile_pattern(const std::string& pattern, const Component& component) {
  try {
    return Regex(pattern);
  } catch (const UnsupportedPattern& problem) {
    component.unsupported(std::string("in the pattern \"") + pattern + "\", " + problem.what());
  }
}

Regex load_pattern(const Component& component) {
  const Component pattern = component.child("pattern");
  if (pattern.json.is_object() && pattern.json.contains("Regex"))
    return compile_pattern(pattern.value<std::string>("Regex"), pattern);
  if (!pattern.json.is_object() || !pattern.json.contains("String"))
    pattern.damaged("a pattern needs \"String\" or \"Regex\"");
  const auto text = pattern.value<std::string>("String");
  if (text.empty()) pattern.unsupported("an empty pattern");
  return Regex::literal(text);
}

std::string replace_all(std::string_view text, const Regex& pattern, std::string_view content) {
  static thread_local std::vector<Match> matches;
  matches.clear();
  pattern.find_all(text, matches);
  std::string out;
  out.reserve(text.size() + matches.size() * content.size());
  std::size_t copied = 0;
  for (const auto& match : matches) {
    out.append(text, copied, match.begin - copied).append(content);
    copied = match.end;
  }
  return out.append(text, copied);
}

}  // namespace anneal
