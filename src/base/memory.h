// Memory of the machine and of this process.
#pragma once
#include <cstdint>
#include <optional>

namespace anneal {

// What can be taken without swapping, and within the limits of this process's control groups.
std::int64_t available_memory_bytes();
std::int64_t total_memory_bytes();                 // of the machine, or the limit of a control group
std::int64_t resident_memory_bytes();              // of this process, now
std::optional<std::int64_t> address_space_left();  // nothing where it has no limit (RLIMIT_AS)

// A step takes and gives back the same large blocks many times: from now on they are kept in the process, so
// that their pages are made once. Not under a limit of the address space, where what is kept is missed.
void keep_freed_memory();

// Where memory has run out: threads and generated code take theirs from the system, not from what is kept.
void give_back_freed_memory();

}  // namespace anneal
