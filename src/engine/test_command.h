// `anneal test`: what a trained model writes for the rows of a test file, and how good that is.
#pragma once
#include <set>
#include <string>

#include "engine/test_request.h"

namespace anneal {

int run_test(TestRequest& request, const std::set<std::string>& given);

}  // namespace anneal
