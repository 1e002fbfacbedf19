// anneal score: the likelihood of each sample of a file.
#pragma once
#include "engine/train_request.h"

namespace anneal {

int run_score(ScoreRequest& request, const std::set<std::string>& given);

}  // namespace anneal
