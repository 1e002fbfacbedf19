// Which trained model a command takes. Free of torch.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fields.h"
#include "hub/model.h"

namespace anneal {

struct CheckpointOptions {
  std::string base_model;
  std::string base_model_revision = "main";
  std::optional<std::string> checkpoints_dir;
  std::optional<std::string> checkpoint;
  std::string which = "best";
  bool full_ft = false;
  bool offline = false;

  static void fields(auto& c, auto field) {
    field("base_model", c.base_model,
          "The model that was fine-tuned: a folder, or the id of a model on the Hugging Face hub.");
    field("base_model_revision", c.base_model_revision, "Branch, tag or commit of a model on the hub.");
    field("checkpoints_dir", c.checkpoints_dir,
          "The run's folder. Default: results/<name of the base model>.");
    field("checkpoint", c.checkpoint, "This checkpoint folder, instead of one of checkpoints_dir.");
    field("which", c.which, "Of the run's checkpoints: the one of the lowest eval_loss, or the newest.",
          FieldTraits{.choices = {"best", "latest"}});
    field("full_ft", c.full_ft,
          "Require that the checkpoint holds all weights. It is seen from its files anyway.");
    field("offline", c.offline, "Never use the network; HF_HUB_OFFLINE=1 says the same.");
  }

  void validate(std::vector<Problem>& problems) const {
    if (base_model.empty())
      problems.push_back({"is needed", "--base_model", "name the folder or the id of the base model"});
    check_revision(base_model_revision, "--base_model_revision", problems);
  }

  // The folder of the base model where it is on this machine, else empty.
  std::filesystem::path base_folder() const {
    return find_model({base_model, base_model_revision}, ModelPart::kWhole);
  }

  // base_folder(), after downloading what is missing. Throws UserError.
  std::filesystem::path fetch_base(const HubLog& log) const {
    return fetch_model({base_model, base_model_revision}, ModelPart::kWhole, offline, log);
  }
};

}  // namespace anneal
