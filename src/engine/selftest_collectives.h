// The part of the self-test that joins GPUs.
#pragma once
#include "engine/selftest.h"

namespace anneal {

// NCCL with one rank, and with two where there are two GPUs.
void add_collective_checks(std::vector<SelfCheck>& checks);

}  // namespace anneal
