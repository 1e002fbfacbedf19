// What this machine calls itself.
#pragma once
#include <string>

namespace anneal {

std::string host_name();  // "localhost" where it has none

// Whether the processor has an instruction set, by the kernel's name for it, such as avx512_bf16.
bool processor_has(const std::string& feature);
std::string processor_name();  // "" where the kernel does not say

int usable_processors();  // that this process may run on

}  // namespace anneal
