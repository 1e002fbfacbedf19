#include "checkpoint/weight_share.h"

#include <algorithm>
#include <map>
#include <set>

namespace anneal {
namespace {

constexpr std::int64_t kShardBytes = 5'000'000'000;

TensorShards plan_shards(const CausalLm& model, at::ScalarType dtype, int ranks) {
  std::vector<TensorPlan> plans;
  std::int64_t bytes = 0;
  for (const auto& parameter : model.full_parameters) {
    plans.push_back({parameter->name, dtype_of(dtype), parameter->shape});
    bytes += plans.back().bytes();
  }
  return cut_into_shards(plans, std::min(kShardBytes, bytes / ranks + 1));
}

}  // namespace

WeightShare share_of_weights(const CausalLm& model, at::ScalarType dtype, ProcessGroup& group) {
  WeightShare share{.dtype = dtype, .rank = group.rank(), .ranks = group.size()};
  std::set<std::string> own;
  if (!model.full_parameters.empty()) {
    share.shards = plan_shards(model, dtype, group.size());
    for (std::size_t shard = 0; shard < share.shards.size(); ++shard)
      if (share.is_mine(shard))
        for (const auto& tensor : share.shards[shard]) own.insert(tensor.name);
  } else if (group.is_root()) {
    for (const auto* parameter : model.parameters()) own.insert(parameter->name);
  }
  if (!model.is_shared()) {
    for (auto& value : trained_values(model))
      if (own.count(value.name) != 0) share.values.push_back(value);
    return share;
  }
  std::map<std::string, at::Tensor> gathered;
  model.for_each_unit([&](ShardedUnit& unit) {
    for (const auto& [parameter, value] : unit.gather_masters())
      if (own.count(parameter->name) != 0) gathered[parameter->name] = value.clone();
  });
  for (const auto* parameter : model.parameters())
    if (own.count(parameter->name) != 0)
      share.values.push_back({parameter->name, gathered.at(parameter->name)});
  return share;
}

}  // namespace anneal
