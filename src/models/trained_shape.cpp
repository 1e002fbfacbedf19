#include "models/trained_shape.h"

#include <map>

namespace anneal {

ModelShape shape_of(const CausalLm& model) {
  auto shape = shape_of(model.config);
  shape.trains_all = !model.full_parameters.empty();
  for (std::size_t index = 0; index < model.layers.size(); ++index) {
    std::map<std::string, const Lora*> adapters;
    model.layers[index].for_each_linear([&](const Linear& linear) {
      if (linear.lora) adapters[linear.name] = linear.lora.get();
    });
    if (adapters.empty()) continue;
    shape.layers[index].for_each_linear([&](LinearShape& linear) {
      const auto found = adapters.find(linear.name);
      if (found == adapters.end()) return;
      linear.rank = found->second->a_RI.shape[0];
      linear.has_magnitude = found->second->magnitude_O.has_value();
      shape.lora_dropout = found->second->dropout;
    });
  }
  return shape;
}

}  // namespace anneal
