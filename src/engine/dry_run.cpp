#include "engine/dry_run.h"

#include <fmt/format.h>

namespace anneal {

void say_dry_run(const DryRun& run, const RunStart& start, RunLog& log) {
  log.say("memory of a step: " + run.model.memory_use_text(run.ranks, run.plan, run.longest));
  log.say(fmt::format("a step: {} samples; {} steps in all", run.pool_size, run.total_steps));
  const auto first = start.state ? start.state->step + 1 : 1;
  log.say(
      start.state && first > run.total_steps
          ? fmt::format("dry run: the run is at its end, step {}; nothing is left to train", run.total_steps)
          : fmt::format(
                "dry run: all is ready for step {}; nothing is trained, and no run is made or changed",
                first));
}

}  // namespace anneal
