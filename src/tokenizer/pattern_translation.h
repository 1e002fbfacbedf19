// Patterns of tokenizer.json are Oniguruma's. Here they become PCRE2 patterns with the same meaning: every
// class is written out as explicit ranges of the library's Unicode version. What has no exact counterpart is
// refused.
#pragma once
#include <stdexcept>
#include <string>
#include <string_view>

namespace anneal {

// `what` names the construct.
struct UnsupportedPattern : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string translate_pattern(std::string_view pattern);

}  // namespace anneal
