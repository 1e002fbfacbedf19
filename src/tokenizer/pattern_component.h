// {"String": ...} and {"Regex": ...}, as normalizers, pre-tokenizers and decoders hold them.
#pragma once
#include "tokenizer/component.h"
#include "tokenizer/regex.h"

namespace anneal {

Regex load_pattern(const Component& component);  // of the component's key "pattern"
Regex compile_pattern(const std::string& pattern, const Component& component);
std::string replace_all(std::string_view text, const Regex& pattern, std::string_view content);

}  // namespace anneal
