// The examples of a data file.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>

#include "data/example_set.h"

namespace anneal {

struct ExampleSetOptions {
  std::int64_t threads = 0;                // 0: none but the caller's; the result does not depend on it
  std::optional<std::int64_t> first_rows;  // read no more rows than this
  std::int64_t skip_bad_rows = 0;
  bool required = true;           // no example at all is an error
  ChatRenderer* chats = nullptr;  // outlives the call; without one, a chat is a row that cannot be read
  // Gets rows done and rows in all; called by any of the threads.
  std::function<void(std::int64_t, std::int64_t)> progress = [](std::int64_t, std::int64_t) {};
};

// Reads a JSONL file of prompts and completions or chats. A missing file that is not required gives an empty
// set.
ExampleSet load_examples(const std::filesystem::path& path, const ExampleEncoder& encoder,
                         const ExampleOptions& options, const ExampleSetOptions& set_options);

}  // namespace anneal
