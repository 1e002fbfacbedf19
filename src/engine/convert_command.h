// anneal convert: a checkpoint as a folder that transformers, PEFT and vLLM load.
#pragma once
#include "engine/convert_request.h"

namespace anneal {

int run_convert(ConvertRequest& request, const std::set<std::string>& given);

}  // namespace anneal
