#include "checkpoint/weight_share.h"

#include <algorithm>
#include <map>
#include <set>

namespace anneal {
namespace {

constexpr std::int64_t kShardBytes = 5'000'000'000;

using Parameters = std::vector<Parameter*>;

TensorShards plan_shards(const Parameters& parameters, at::ScalarType dtype, int ranks) {
  std::vector<TensorPlan> plans;
  std::int64_t bytes = 0;
  for (const auto* parameter : parameters) {
    plans.push_back({parameter->name, dtype_of(dtype), parameter->shape});
    bytes += plans.back().bytes();
  }
  return cut_into_shards(plans, std::min(kShardBytes, bytes / ranks + 1));
}

// Without values; `own` gets the names of those that are this rank's to write.
WeightShare plan_share(const Parameters& parameters, bool is_whole_model, at::ScalarType dtype,
                       ProcessGroup& group, std::set<std::string>& own) {
  WeightShare share{.dtype = dtype, .rank = group.rank(), .ranks = group.size()};
  if (is_whole_model) {
    share.shards = plan_shards(parameters, dtype, group.size());
    for (std::size_t shard = 0; shard < share.shards.size(); ++shard)
      if (share.is_mine(shard))
        for (const auto& tensor : share.shards[shard]) own.insert(tensor.name);
  } else if (group.is_root()) {
    for (const auto* parameter : parameters) own.insert(parameter->name);
  }
  return share;
}

}  // namespace

WeightShare share_of_weights(const Parameters& parameters, bool is_whole_model, at::ScalarType dtype,
                             ProcessGroup& group) {
  std::set<std::string> own;
  auto share = plan_share(parameters, is_whole_model, dtype, group, own);
  for (auto& value : trained_values(parameters))
    if (own.count(value.name) != 0) share.values.push_back(value);
  return share;
}

WeightShare share_of_weights(const CausalLm& model, at::ScalarType dtype, ProcessGroup& group) {
  const auto parameters = model.parameters();
  const bool is_whole_model = !model.full_parameters.empty();
  if (!model.is_shared()) return share_of_weights(parameters, is_whole_model, dtype, group);
  std::set<std::string> own;
  auto share = plan_share(parameters, is_whole_model, dtype, group, own);
  std::map<std::string, at::Tensor> gathered;
  model.for_each_unit([&](ShardedUnit& unit) {
    for (const auto& [parameter, value] : unit.gather_masters())
      if (own.count(parameter->name) != 0) gathered[parameter->name] = value.clone();
  });
  for (const auto* parameter : parameters)
    if (own.count(parameter->name) != 0)
      share.values.push_back({parameter->name, gathered.at(parameter->name)});
  return share;
}

}  // namespace anneal
