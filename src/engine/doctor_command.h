// anneal doctor: what needs torch or the network to be found, and the self-test.
#pragma once
#include "engine/doctor_request.h"

namespace anneal {

// Returns kResources where a check of the self-test fails.
int run_doctor(DoctorRequest& request, const std::set<std::string>& given);

}  // namespace anneal
