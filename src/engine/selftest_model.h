// The part of the self-test that trains: five LoRA steps of a small model.
#pragma once
#include "engine/selftest.h"

namespace anneal {

void add_model_checks(c10::Device device, std::vector<SelfCheck>& checks);

}  // namespace anneal
