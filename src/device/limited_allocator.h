// Tensors of the CPU under a limit of the address space (`ulimit -v`, RLIMIT_AS).
#pragma once

namespace anneal {

// Where there is such a limit, tensors leave a reserve of it untouched from now on: one that would go into it
// throws c10::OutOfMemoryError, which callers can mend. oneDNN and OpenMP end the process where a few hundred
// bytes are refused.
void leave_reserve_of_address_space();

}  // namespace anneal
