// Parts of the program that are loaded when they are needed: shared objects that lie beside it.
#pragma once
#include <string>

namespace anneal {

// The function `entry` of the object `name` in the program's folder. The object is called `part` in messages.
// What it takes from a Python package is loaded first. Throws UserError(kInternal) where it cannot be loaded,
// and as load_package_libraries() does.
void* load_entry(const std::string& part, const std::string& name, const char* entry);

}  // namespace anneal
