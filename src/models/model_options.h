// Which model, and in what precision. Free of torch.
#pragma once
#include <filesystem>
#include <string>

#include "base/fields.h"
#include "base/file.h"
#include "hub/model.h"

namespace anneal {

struct ModelOptions {
  std::string hf_model_id = "Qwen/Qwen3-8B";
  std::string hf_model_revision = "main";
  std::string base_dtype = "auto";
  std::string compute_dtype = "auto";
  std::string device = "auto";

  static void fields(auto& c, auto field) {
    field("hf_model_id", c.hf_model_id,
          "The model: a folder with config.json, safetensors weights and tokenizer.json, or the id of a "
          "model on "
          "the Hugging Face hub.",
          FieldTraits{.may_differ = true});
    field("hf_model_revision", c.hf_model_revision, "Branch, tag or commit of a model on the hub.",
          FieldTraits{.may_differ = true});
    field("base_dtype", c.base_dtype,
          "What frozen weights are held in; auto: as stored, float16 becoming float32. With --full_ft, what "
          "the trained "
          "weights are saved in.",
          FieldTraits{.choices = {"auto", "bf16", "fp32"}});
    field("compute_dtype", c.compute_dtype,
          "What layers multiply in; auto: bf16 where the device has bf16 instructions.",
          FieldTraits{.choices = {"auto", "bf16", "fp32"}});
    field("device", c.device,
          "Where to run; auto: on the GPU where there is one, otherwise on the processor.",
          FieldTraits{.choices = {"auto", "cpu", "cuda"}, .may_differ = true});
  }

  void validate(std::vector<Problem>& problems) const {
    check_model_name(hf_model_id, "--hf_model_id", problems);
    check_revision(hf_model_revision, "--hf_model_revision", problems);
  }

  // Downloads what is missing of the model. Throws UserError.
  void fetch(bool is_offline, const HubLog& log) const {
    fetch_model({hf_model_id, hf_model_revision}, ModelPart::kWhole, is_offline, log);
  }

  // Which revision of the id it is, where it is an id and not of the branch that everyone takes; else empty.
  std::string revision_of_id() const {
    return is_folder(hf_model_id) || hf_model_revision == "main" ? "" : hf_model_revision;
  }

  // Where it lies, once it is fetched.
  std::filesystem::path folder() const {
    return find_model({hf_model_id, hf_model_revision}, ModelPart::kWhole);
  }
};

}  // namespace anneal
