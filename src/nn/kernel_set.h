// Which instructions this machine computes with: other ones round otherwise.
#pragma once
#include <string>

namespace anneal {

std::string kernel_set();  // "AVX3_SPR, torch AVX512"

}  // namespace anneal
