// How many processes work together, and where.
#pragma once
#include <optional>
#include <set>
#include <string>

#include "base/fields.h"

namespace anneal {

struct LaunchOptions {
  std::int64_t num_workers = 1;
  std::int64_t num_nodes = 1;
  std::int64_t node_rank = 0;
  std::optional<std::string> master_addr;
  std::optional<std::int64_t> master_port;
  std::int64_t max_failures = 2;

  static void fields(auto& c, auto field) {
    const FieldTraits free{.may_differ = true};
    field("num_workers", c.num_workers, "Processes of this machine that work together.",
          FieldTraits{.minimum = 1, .may_differ = true});
    field("num_nodes", c.num_nodes,
          "Machines that work together; each is given the same command with its own --node_rank.",
          FieldTraits{.minimum = 1, .may_differ = true});
    field("node_rank", c.node_rank, "Which of the machines this one is, from 0.",
          FieldTraits{.minimum = 0, .may_differ = true});
    field("master_addr", c.master_addr, "Name or address of machine 0, as the others reach it.", free);
    field("master_port", c.master_port,
          "A port of machine 0 at which the processes meet. Default, on one machine: a free one.",
          FieldTraits{.minimum = 1, .maximum = 65535, .may_differ = true});
    field("max_failures", c.max_failures,
          "How often all processes are started again, to go on from what is saved, after one of several has "
          "died "
          "or hung.",
          FieldTraits{.minimum = 0, .may_differ = true});
  }

  std::int64_t world_size() const { return num_workers * num_nodes; }

  void validate(const std::set<std::string>& given, std::vector<Problem>& problems) const {
    if (node_rank >= num_nodes)
      problems.push_back({"is " + std::to_string(node_rank) + ", and --num_nodes is " +
                              std::to_string(num_nodes) + ": machines are counted from 0",
                          "--node_rank", "give 0 to " + std::to_string(num_nodes - 1)});
    if (num_nodes == 1) return;
    const auto require = [&](const char* name, const char* remedy) {
      if (given.count(name) == 0)
        problems.push_back(
            {"is needed with --num_nodes " + std::to_string(num_nodes), std::string("--") + name, remedy});
    };
    require("node_rank", "give each machine its own number, from 0");
    require("master_addr", "give the name or address of machine 0, the same on every machine");
    require("master_port", "give a port that is free on machine 0, the same on every machine");
  }
};

}  // namespace anneal
