// Where another launcher (torchrun, srun, Ray) or our supervisor has started this process as one of several.
#pragma once
#include <optional>
#include <set>

#include "launch/environment.h"
#include "launch/launch_options.h"

namespace anneal {

// The variables of this rank, completed from SLURM's and from the options; nothing where nobody has made this
// process a rank. Throws UserError(kUsage) with everything that contradicts itself.
std::optional<Environment> given_rank(const LaunchOptions& options, const std::set<std::string>& given,
                                      const Environment& environment);

// The first host of SLURM's notation: "gpu[007-009,12],big1" begins with gpu007.
std::string first_host(const std::string& node_list);

}  // namespace anneal
