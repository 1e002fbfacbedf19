#include "launch/started_rank.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"

namespace anneal {

std::string shared_token(const LaunchOptions& options) {
  return sha256_hex(fmt::format("{}:{} {}x{}", options.master_addr.value_or(""),
                                options.master_port.value_or(0), options.num_nodes, options.num_workers))
      .substr(0, 32);
}

Environment started_rank(const LaunchOptions& options, std::int64_t local_rank, const MeetingPoint& meeting,
                         std::int64_t cores, const Environment& inherited) {
  Environment rank = inherited;
  rank[kRank] = std::to_string(options.node_rank * options.num_workers + local_rank);
  rank[kWorldSize] = std::to_string(options.world_size());
  rank[kLocalRank] = std::to_string(local_rank);
  rank[kLocalWorldSize] = std::to_string(options.num_workers);
  rank[kNodeRank] = std::to_string(options.node_rank);
  rank[kMasterAddr] = meeting.address;
  rank[kMasterPort] = std::to_string(meeting.port);
  rank.try_emplace(kRunToken, meeting.token);
  rank.try_emplace("OMP_NUM_THREADS", std::to_string(std::max<std::int64_t>(1, cores / options.num_workers)));
  return rank;
}

}  // namespace anneal
