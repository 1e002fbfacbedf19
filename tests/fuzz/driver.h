// What a fuzzer tests: a function that is called with inputs without end. A UserError is what a bad input
// should give.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace anneal {

struct FuzzTarget {
  const char* file_name;           // each input lies in a file of this name
  std::vector<std::string> words;  // of the format, for mutations
  bool is_json;                    // values of a JSON text are exchanged too, so that it stays one
  // Ends the process, or throws anything but a UserError, where something is wrong.
  void (*run)(const std::filesystem::path& file, std::string_view input);
};

// Defined by each fuzzer.
extern const FuzzTarget kFuzzTarget;

// For properties of what was read: prints and ends the process.
void expect(bool holds, const char* property);

}  // namespace anneal
