// An identity that no other process takes.
#pragma once
#include <string>

namespace anneal {

std::string random_id();  // 32 hex digits

}  // namespace anneal
