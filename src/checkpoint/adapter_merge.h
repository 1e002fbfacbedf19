// A LoRA or DoRA adapter folded into the weights of a base model. It goes by the names and shapes of tensors
// and knows no family.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "checkpoint/peft_adapter.h"
#include "formats/safetensors.h"

namespace anneal {

class AdapterMerge {
 public:
  // Throws UserError(kModel) that names every tensor of the adapter that does not fit the base, is not
  // finite, or is missing.
  AdapterMerge(const std::filesystem::path& adapter, const SafetensorsFolder& base);

  const PeftConfig& config() const { return config_; }
  std::size_t modules() const { return updates_.size(); }
  bool changes(const std::string& tensor) const { return updates_.count(tensor) != 0; }
  std::int64_t largest_rank() const;

  // The merged weight in float32, not rounded yet.
  at::Tensor merged(const std::string& tensor, const at::Tensor& weight) const;

 private:
  struct Update {
    TensorView a_RI, b_OR;
    double scale;
    std::optional<TensorView> magnitude_O;
  };
  void require_fit(const std::string& module, const SafetensorsFolder& base, std::vector<Problem>& problems);
  const TensorView* find(const std::string& module, const char* ending) const;
  void require_every_target(const SafetensorsFolder& base, std::vector<Problem>& problems) const;

  PeftConfig config_;
  SafetensorsFile file_;
  std::map<std::string, Update> updates_;  // by the name of the base's tensor
};

}  // namespace anneal
