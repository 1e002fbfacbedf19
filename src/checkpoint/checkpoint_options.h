// Which trained model a command takes. Free of torch.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fields.h"

namespace anneal {

struct CheckpointOptions {
  std::string base_model;
  std::optional<std::string> checkpoints_dir;
  std::optional<std::string> checkpoint;
  std::string which = "best";
  bool full_ft = false;

  static void fields(auto& c, auto field) {
    field("base_model", c.base_model, "The model that was fine-tuned: a Hugging Face folder.");
    field("checkpoints_dir", c.checkpoints_dir,
          "The run's folder. Default: results/<name of the base model>.");
    field("checkpoint", c.checkpoint, "This checkpoint folder, instead of one of checkpoints_dir.");
    field("which", c.which, "Of the run's checkpoints: the one of the lowest eval_loss, or the newest.",
          FieldTraits{.choices = {"best", "latest"}});
    field("full_ft", c.full_ft,
          "Require that the checkpoint holds all weights. It is seen from its files anyway.");
  }

  void validate(std::vector<Problem>& problems) const {
    if (base_model.empty())
      problems.push_back({"is needed", "--base_model", "name the folder of the base model"});
  }
};

}  // namespace anneal
