// The four Unicode normal forms, with the tables of the pinned tokenizers library.
#pragma once
#include <string>
#include <string_view>

namespace anneal {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// Of valid UTF-8. Text that is in the form already comes back unchanged.
std::string normalize(std::string_view text, NormalForm form);

// True only if normalize(text, form) == text; false may also mean "not known".
bool is_surely_normal(std::string_view text, NormalForm form);

}  // namespace anneal
