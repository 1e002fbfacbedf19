// anneal prepare: builds the data of a run and shows samples as the model will see them.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "data/dataset_options.h"
#include "data/example_options.h"
#include "hub/model.h"

namespace anneal {

struct PrepareOptions {
  DatasetOptions dataset;
  ExampleOptions example;
  std::int64_t seed = 16257;
  std::string hf_model_id;
  std::string hf_model_revision = "main";
  std::int64_t dataloader_num_workers = 4;
  std::int64_t show = 0;
  bool force = false;

  static void fields(auto& c, auto field) {
    field("dataset", c.dataset, "Data");
    field("example", c.example, "Samples");
    field("seed", c.seed, "Seed of the split, unless split_seed is given.",
          FieldTraits{.heading = "Preparation"});
    field("hf_model_id", c.hf_model_id,
          "Folder or id of a model. With it the samples are shown as tokens, and checked for what would "
          "spoil a "
          "training.");
    field("hf_model_revision", c.hf_model_revision, "Branch, tag or commit of a model on the hub.");
    field("dataloader_num_workers", c.dataloader_num_workers, "Threads that tokenize; 0: none.",
          FieldTraits{.minimum = 0});
    field("show", c.show, "How many training samples to print.", FieldTraits{.minimum = 0});
    field("force", c.force, "Go on where the check of the samples refuses.");
  }

  void complete(const std::set<std::string>& given, std::vector<Problem>& problems) {
    resolve(dataset, given);
    dataset.validate(problems);
    if (!hf_model_id.empty()) check_model_name(hf_model_id, "--hf_model_id", problems);
    check_revision(hf_model_revision, "--hf_model_revision", problems);
  }
};

// Returns the exit code; problems are thrown as UserError.
int run_prepare(PrepareOptions& options, const std::set<std::string>& given);

}  // namespace anneal
