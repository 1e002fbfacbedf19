// Phi-3 mini, medium and Phi-4: Llama's layer with queries, keys and values in one projection and gate and up
// in another; longrope for 128k tokens; a part of each head may stay unrotated.
#include "architecture/model_config.h"

namespace anneal {
namespace {

// Older files have other names for longrope; and all files may leave out what the family was trained on.
Json with_defaults(const Json& config) {
  Json said = config;
  if (!said.contains("original_max_position_embeddings")) said["original_max_position_embeddings"] = 4096;
  for (const char* key : {"rope_parameters", "rope_scaling"})
    for (const char* kind : {"rope_type", "type"}) {
      if (!said.contains(key) || !said[key].is_object() || !said[key].contains(kind)) continue;
      auto& name = said[key][kind];
      if (name == "su" || name == "yarn") name = "longrope";
    }
  return said;
}

}  // namespace

ModelConfig read_phi3_config(const Json& config, const std::string& where) {
  auto model = read_shared_keys(config, where);
  model.rms_norm_eps = optional(config, "rms_norm_eps", 1e-5, where, ExitCode::kModel);
  read_head_dim(config, where, model);
  read_rope(with_defaults(config), where, model, /*takes_partial=*/true);
  read_window(config, where, model);
  require_value(config, "resid_pdrop", 0.0, where);
  require_value(config, "embd_pdrop", 0.0, where);
  model.is_fused = true;
  return model;
}

}  // namespace anneal
