#include "engine/weight_notes.h"

#include <fmt/format.h>

#include <map>
#include <set>

namespace anneal {
namespace {

std::set<std::string> used_tensors(const CausalLm& model) {
  std::set<std::string> names = {"model.embed_tokens.weight", model.norm.name + ".weight"};
  if (!model.config.tie_word_embeddings) names.insert(model.lm_head.name + ".weight");
  const auto add = [&](const Linear& linear) {
    names.insert(linear.name + ".weight");
    if (linear.bias_O.defined()) names.insert(linear.name + ".bias");
  };
  for (const auto& layer : model.layers) {
    if (layer.moe) add(layer.moe->router);
    layer.for_each_linear(add);
    layer.for_each_norm([&](const NormWeight& norm) { names.insert(norm.name + ".weight"); });
  }
  return names;
}

std::string name_of(at::ScalarType type) { return type == at::kBFloat16 ? "bf16" : "fp32"; }

}  // namespace

std::vector<std::string> weight_notes(const CausalLm& model) {
  constexpr std::size_t kNamesShown = 3;
  const auto used = used_tensors(model);
  std::map<std::string, int> stored;
  std::string unused;
  std::size_t unused_count = 0;
  const SafetensorsFolder weights(model.folder);
  for (const auto& [name, view] : weights.tensors())
    if (used.count(name) != 0)
      ++stored[std::string(dtype_name(view.dtype))];
    else if (++unused_count <= kNamesShown)
      unused += (unused.empty() ? "" : ", ") + name;
  std::vector<std::string> notes;
  if (stored.size() > 1 || stored.count("F16") != 0) {
    std::string counts;
    for (const auto& [dtype, tensors] : stored)
      counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", tensors, dtype);
    const auto held = model.precision.base       ? "all held as " + name_of(*model.precision.base)
                      : stored.count("F16") != 0 ? std::string("F16 held as fp32, the others as they are")
                                                 : std::string("held as they are");
    notes.push_back(
        fmt::format("notice: base weights of mixed or half precision ({} tensors): {}, computed with in {}",
                    counts, held, name_of(model.precision.compute)));
  }
  if (unused_count > 0)
    notes.push_back(fmt::format("notice: {} tensors of the base model's files are not used: {}{}",
                                unused_count, unused, unused_count > kNamesShown ? ", ..." : ""));
  return notes;
}

}  // namespace anneal
