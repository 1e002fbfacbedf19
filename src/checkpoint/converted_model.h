// The weights of a Hugging Face model as they are to be written: a base model with an adapter merged in, or a
// whole model as it is, in the dtype that is asked for. Made tensor by tensor from mapped files.
#pragma once
#include <functional>
#include <optional>

#include "checkpoint/adapter_merge.h"

namespace anneal {

class ConvertedModel {
 public:
  // Without a dtype every tensor keeps its own. Both folders must outlive no call: their files are mapped.
  ConvertedModel(const std::filesystem::path& weights, const std::optional<std::filesystem::path>& adapter,
                 std::optional<at::ScalarType> dtype);

  const std::optional<AdapterMerge>& merge() const { return merge_; }
  const SafetensorsFolder& weights() const { return weights_; }
  // In the order of the files that they come from. A head that is tied to the embedding is left out.
  const std::vector<TensorPlan>& tensors() const { return tensors_; }
  std::int64_t bytes() const;

  // Summed in float32 and rounded once, to the nearest even. Throws UserError(kModel) that names the tensor
  // where the result is not finite.
  at::Tensor tensor(const TensorPlan& plan) const;

  // Writes the weights and config.json; `progress` gets the tensors and the bytes written so far.
  void write(const std::filesystem::path& folder, std::int64_t shard_bytes,
             const std::function<void(std::size_t, std::int64_t)>& progress) const;

 private:
  std::filesystem::path folder_;
  SafetensorsFolder weights_;
  std::optional<AdapterMerge> merge_;
  std::optional<at::ScalarType> dtype_;
  std::vector<TensorPlan> tensors_;
};

}  // namespace anneal
