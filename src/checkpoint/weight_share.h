// The trained weights as they are published, in whole tensors: which rank writes which of them.
#pragma once
#include <vector>

#include "checkpoint/tensor_file.h"
#include "dist/process_group.h"

namespace anneal {

struct WeightShare {
  std::vector<NamedValue>
      values;  // float32: of an adapter all on the root; of a model those of its own shards
  // Of a whole model: its files, cut so that every rank has one to write.
  at::ScalarType dtype = at::kFloat;
  TensorShards shards;
  int rank = 0, ranks = 1;
  bool is_mine(std::size_t shard) const { return static_cast<int>(shard) % ranks == rank; }
};

// Of parameters that every rank holds whole: those of a whole model, or of an adapter.
WeightShare share_of_weights(const std::vector<Parameter*>& parameters, bool is_whole_model,
                             at::ScalarType dtype, ProcessGroup& group);

// Every rank takes part: shared parameters are gathered, one unit of the model at a time.
WeightShare share_of_weights(const CausalLm& model, at::ScalarType dtype, ProcessGroup& group);

}  // namespace anneal
