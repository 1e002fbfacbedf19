// anneal train: from options to a trained model.
#pragma once
#include "engine/train_request.h"

namespace anneal {

// The options have passed complete(). Returns the exit code; problems are thrown as UserError.
int run_train(TrainRequest& request, const std::set<std::string>& given);

}  // namespace anneal
