// What libraries say in their exceptions, cut to what a person wants to read.
#pragma once
#include <exception>
#include <string>

namespace anneal {

// torch adds the place in its sources and a backtrace after it.
inline std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }
inline std::string first_line(const std::exception& error) { return first_line(std::string(error.what())); }

}  // namespace anneal
