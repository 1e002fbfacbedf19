// What a converted folder was made from, to know whether making it again would change anything. A small file
// in the folder, which transformers, PEFT and vLLM pass over.
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace anneal {

constexpr const char* kConversionRecord = "anneal_conversion.json";

// A file that goes into a conversion, and the name that it has in the record.
using ConversionInput = std::pair<std::string, std::filesystem::path>;

enum class OutputState { kFree, kUpToDate, kOther, kForeign };

// kFree: nothing is there. kForeign: there is something that no conversion has written. kOther: a conversion
// of other inputs or options, or one that has lost files; `difference` says what.
OutputState look_at_output(const std::filesystem::path& folder, const Json& options,
                           const std::vector<ConversionInput>& inputs, std::string& difference);

// To be called last: it lists the files that lie in the folder.
void write_conversion_record(const std::filesystem::path& folder, const Json& options,
                             const std::vector<ConversionInput>& inputs);

}  // namespace anneal
