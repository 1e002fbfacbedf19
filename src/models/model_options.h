// Which model, and in what precision. Free of torch.
#pragma once
#include <filesystem>
#include <string>

#include "base/fields.h"
#include "base/file.h"
#include "base/nearest.h"

namespace anneal {

// Of a model that is no folder.
inline Problem no_model_problem(const std::string& id, const char* flag) {
  const auto nearest = nearest_path(id);
  return {"\"" + id + "\" is not a folder, and this version does not download models", flag,
          nearest.empty() ? "download the model and give the path of its folder"
                          : "did you mean " + nearest + "?"};
}

struct ModelOptions {
  std::string hf_model_id = "Qwen/Qwen3-8B";
  std::string base_dtype = "auto";
  std::string compute_dtype = "auto";
  std::string device = "auto";
  std::string engine = "native";

  static void fields(auto& c, auto field) {
    field("hf_model_id", c.hf_model_id,
          "The model: a folder with config.json, safetensors weights and tokenizer.json.",
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
    field("engine", c.engine, "Who trains.", FieldTraits{.choices = {"native", "transformers"}});
  }

  void validate(std::vector<Problem>& problems) const {
    if (engine == "transformers")
      problems.push_back({"this version has the native engine only", "--engine", "leave the flag out"});
    if (!is_folder(hf_model_id)) problems.push_back(no_model_problem(hf_model_id, "--hf_model_id"));
  }
};

}  // namespace anneal
