// Where the tensors of the processor take their memory.
#pragma once
#include "device/block_heap.h"

namespace anneal {

// From now on large tensors are blocks of a heap of their own, whose pages stay for the next ones. The C
// library's heap would keep freed blocks between others that are in use, and grow above what is in use by a
// tenth to a third (docs/decisions/025).
//
// Where the address space has a limit (`ulimit -v`, RLIMIT_AS) what is kept would be missed. There tensors
// leave a reserve of it untouched instead: one that would go into it throws c10::OutOfMemoryError, which
// callers can mend. oneDNN and OpenMP end the process where a few hundred bytes are refused.
void set_up_tensor_memory();

// Of that heap; nothing is counted where tensors come from the C library.
BlockHeap::Counts tensor_memory();

// What the heap and the C library keep for later goes to the system.
void give_back_tensor_memory();

}  // namespace anneal
