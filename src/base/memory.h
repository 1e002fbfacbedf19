// Memory of the machine and of this process.
#pragma once
#include <cstdint>

namespace anneal {

std::int64_t available_memory_bytes();  // what can be taken without swapping
std::int64_t resident_memory_bytes();   // of this process, now

}  // namespace anneal
