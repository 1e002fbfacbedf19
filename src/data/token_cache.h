// The tokens of a data file, kept between runs in the folder "tokens" beside it.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "data/load_examples.h"

namespace anneal {

// What the tokens of a file depend on, beside the options.
struct TokenOrigin {
  std::string data_sha256;             // of the data that the file belongs to
  std::filesystem::path model_folder;  // whose tokenizer and chat template make them
};

// As load_examples(), with the examples mapped from the file that keeps them. Where there is none for this
// very data, model and options, or a damaged one, they are made and kept; of several processes that ask at
// once, one makes them. Where nothing can be written, they stay in memory. Says what it does. A call may wait
// for another process for as long as that needs.
ExampleSet load_kept_examples(const std::filesystem::path& path, const TokenOrigin& origin,
                              const ExampleEncoder& encoder, const ExampleOptions& options,
                              const ExampleSetOptions& set_options,
                              const std::function<void(const std::string&)>& say);

}  // namespace anneal
