// What this machine calls itself.
#pragma once
#include <string>

namespace anneal {

std::string host_name();  // "localhost" where it has none

}  // namespace anneal
