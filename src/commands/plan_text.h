// What `anneal plan` prints.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "plan/sizing.h"

namespace anneal {

struct Planned {
  std::string model;
  Training training;
  double utilisation;
  Sizing sizing;
  std::vector<Sizing> smallest;  // of each GPU that the training fits on
  std::vector<std::string> notes;
};

std::string plan_text(const Planned& planned);
Json plan_json(const Planned& planned);

}  // namespace anneal
