// All processes that train together, as one of them sees them: who they are, the groups between them, and the
// watch that ends this process when another is lost or it makes no progress itself.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "dist/dist_options.h"
#include "dist/process_group.h"

namespace c10d {
class Store;
}

namespace anneal {

// What the variables of launch/environment.h say.
struct RankEnvironment {
  int rank = 0, size = 1, local_rank = 0, local_size = 1;
  std::string master_addr;
  int master_port = 0;
  std::string token;                // equal on all ranks of one start
  bool store_is_elsewhere = false;  // the launcher keeps the store: rank 0 must not open the port

  std::string meeting_point() const;  // address and port
};

// Nothing where this process is alone. Throws UserError(kUsage) for what is no number.
std::optional<RankEnvironment> rank_environment();

class World {
 public:
  World();  // of one process
  // Meets the others. `identity`: what must be the same on all ranks, by name, for example the program's
  // version. Throws UserError(kDistributed): ranks that are missing after the timeout, and a table of what
  // differs.
  World(const RankEnvironment& environment, const DistOptions& options,
        const std::vector<std::pair<std::string, std::string>>& identity);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  ProcessGroup& group() { return group_; }                // of the training itself
  ProcessGroup& saving_group() { return saving_group_; }  // for the thread that saves
  int local_rank() const { return local_rank_; }
  int ranks_on_this_machine() const { return ranks_here_; }

  // Gives group() a backend for tensors of GPUs. All ranks call it, each after it has selected its own.
  using MakeBackend = c10::intrusive_ptr<c10d::Backend> (*)(c10::intrusive_ptr<c10d::Store> store, int rank,
                                                            int size, std::chrono::milliseconds timeout);
  void join_gpus(MakeBackend make, std::chrono::milliseconds timeout);

  // The orderly end: until every rank has come here none is missed.
  void leave();

 private:
  struct Meeting;
  std::unique_ptr<Meeting> meeting_;
  ProcessGroup group_, saving_group_;
  int local_rank_ = 0, ranks_here_ = 1;
};

}  // namespace anneal
