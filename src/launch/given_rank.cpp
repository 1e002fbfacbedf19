#include "launch/given_rank.h"

#include <fmt/format.h>

#include <charconv>

namespace anneal {
namespace {

// Steps that srun has not started carry numbers from here on: batch scripts, interactive shells.
constexpr std::int64_t kFirstReservedStep = 0xFFFFFFF0;

// A port that all tasks of a job derive alike, away from the system's services and its free choice.
constexpr std::int64_t kFirstSlurmPort = 15000, kSlurmPorts = 15000;

// A variable that is set to nothing counts as absent.
class Variables {
 public:
  Variables(const Environment& values, std::vector<Problem>& problems)
      : values_(values), problems_(problems) {}

  bool has(const char* name) const { return !text(name).empty(); }
  std::string text(const char* name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? "" : found->second;
  }

  // Absent: nothing. No whole number from 0 on: a problem, and nothing.
  std::optional<std::int64_t> number(const char* name) const {
    if (!has(name)) return std::nullopt;
    const auto& value = values_.at(name);
    std::int64_t parsed = 0;
    const auto end = value.data() + value.size();
    const auto result = std::from_chars(value.data(), end, parsed);
    if (result.ec == std::errc() && result.ptr == end && parsed >= 0) return parsed;
    problems_.push_back({"\"" + value + "\" is not a whole number from 0 on", name, "set it to a number"});
    return std::nullopt;
  }

 private:
  const Environment& values_;
  std::vector<Problem>& problems_;
};

void take_if_absent(Environment& rank, const char* name, const std::string& value) {
  if (rank[name].empty()) rank[name] = value;
}

// srun's tasks know their places by SLURM's own names. Whoever gives --num_nodes wants one task a machine to
// launch the others.
bool take_slurm_task(Environment& rank, std::vector<Problem>& problems) {
  const Variables slurm(rank, problems);
  const auto step = slurm.number("SLURM_STEP_ID");
  const char* size = slurm.has("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
  if (!step || *step >= kFirstReservedStep || !slurm.has("SLURM_PROCID")) return false;
  if (slurm.number(size).value_or(1) <= 1) return false;
  rank[kRank] = slurm.text("SLURM_PROCID");
  rank[kWorldSize] = slurm.text(size);
  take_if_absent(rank, kLocalRank, slurm.text("SLURM_LOCALID"));
  take_if_absent(rank, kNodeRank, slurm.text("SLURM_NODEID"));
  const auto hosts = slurm.has("SLURM_STEP_NODELIST") ? "SLURM_STEP_NODELIST" : "SLURM_JOB_NODELIST";
  take_if_absent(rank, kMasterAddr, first_host(slurm.text(hosts)));
  if (const auto job = slurm.number("SLURM_JOB_ID"))
    take_if_absent(rank, kMasterPort, std::to_string(kFirstSlurmPort + (*job + *step) % kSlurmPorts));
  return true;
}

void check_within(const Variables& rank, const char* name, const char* size_name,
                  std::vector<Problem>& problems) {
  const auto place = rank.number(name), size = rank.number(size_name);
  if (place && size && *place >= *size)
    problems.push_back({fmt::format("is {}, and {} is {}", *place, size_name, *size), name,
                        "start the processes by one launcher, or unset both"});
}

// Where the processes meet is said by the environment or by a flag; by both only where they agree.
void take_meeting_point(Environment& rank, const char* name, const char* flag, const std::string& option,
                        std::vector<Problem>& problems) {
  take_if_absent(rank, name, option);
  if (rank[name].empty())
    problems.push_back({fmt::format("is not set, and {} is {}", kWorldSize, rank[kWorldSize]), name,
                        std::string("set it, or give ") + flag});
  else if (!option.empty() && rank[name] != option)
    problems.push_back({fmt::format("is {}, and the environment has {}={}", option, name, rank[name]), flag,
                        "leave the flag out"});
}

void check_num_workers(const LaunchOptions& options, const std::set<std::string>& given,
                       const Variables& rank, std::vector<Problem>& problems) {
  const auto world = rank.number(kWorldSize), local = rank.number(kLocalWorldSize);
  const bool agrees =
      options.num_workers == local || options.num_workers == world || options.world_size() == world;
  if (given.count("num_workers") != 0 && !agrees)
    problems.push_back({fmt::format("is {}, and this process is one of {} that were started already: {}={}",
                                    options.num_workers, *world, kWorldSize, *world),
                        "--num_workers", "leave the flag out, or start one process alone"});
}

}  // namespace

std::optional<Environment> given_rank(const LaunchOptions& options, const std::set<std::string>& given,
                                      const Environment& environment) {
  Environment rank = environment;
  std::vector<Problem> problems;
  const Variables variables(rank, problems);
  const bool is_rank = variables.has(kRank) || variables.has(kWorldSize);
  if (variables.has(kRank) != variables.has(kWorldSize)) {
    const auto [set, missing] =
        variables.has(kRank) ? std::pair(kRank, kWorldSize) : std::pair(kWorldSize, kRank);
    problems.push_back({fmt::format("is {}, and {} is not set", variables.text(set), missing), set,
                        "set both, or unset it to start one process, or several with --num_workers"});
  }
  const bool is_task = !is_rank && options.num_nodes == 1 && take_slurm_task(rank, problems);
  if (!is_rank && !is_task && problems.empty()) return std::nullopt;
  if (problems.empty()) {
    check_within(variables, kRank, kWorldSize, problems);
    check_within(variables, kLocalRank, variables.has(kLocalWorldSize) ? kLocalWorldSize : kWorldSize,
                 problems);
  }
  if (problems.empty()) check_num_workers(options, given, variables, problems);
  if (problems.empty() && variables.number(kWorldSize) > 1) {
    const auto port = options.master_port ? std::to_string(*options.master_port) : "";
    take_meeting_point(rank, kMasterAddr, "--master_addr", options.master_addr.value_or(""), problems);
    take_meeting_point(rank, kMasterPort, "--master_port", port, problems);
  }
  if (!problems.empty()) throw UserError(ExitCode::kUsage, problems);
  return rank;
}

std::string first_host(const std::string& node_list) {
  std::string host;
  for (std::size_t at = 0; at < node_list.size() && node_list[at] != ',';) {
    if (node_list[at] != '[') {
      host += node_list[at++];
      continue;
    }
    const auto first_end = node_list.find_first_of("-,]", at);
    const auto close = node_list.find(']', at);
    if (close == node_list.npos) return "";
    host += node_list.substr(at + 1, first_end - at - 1);
    at = close + 1;
  }
  return host;
}

}  // namespace anneal
