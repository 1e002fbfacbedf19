#include "commands/plan_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/byte_size.h"
#include "base/duration.h"
#include "plan/flops.h"

namespace anneal {
namespace {

std::string count_text(double count) {
  if (count >= 1e9) return fmt::format("{:.2f} B", count / 1e9);
  if (count >= 1e6) return fmt::format("{:.1f} M", count / 1e6);
  return fmt::format("{:.0f}", count);
}

std::string time_text(double seconds) {
  constexpr double kDay = 86'400;
  return seconds >= 2 * kDay ? fmt::format("{:.1f} days", seconds / kDay) : duration_text(seconds);
}

const char* fit_text(Fit fit) {
  switch (fit) {
    case Fit::kFits:
      return "fits";
    case Fit::kTight:
      return "tight: above 90 %";
    case Fit::kMayNotFit:
      return "may not fit";
    default:
      return "does not fit";
  }
}

std::int64_t memory_of(const Sizing& sizing) {
  return sizing.hardware.is_gpu ? sizing.hardware.memory_bytes
                                : sizing.hardware.memory_bytes / sizing.devices;
}

std::string name_of(const Sizing& sizing) {
  return fmt::format("{} x {}", sizing.devices, sizing.hardware.title);
}

std::string model_text(const Planned& planned) {
  const auto& shape = planned.training.shape;
  const auto base = static_cast<double>(shape.base_parameters()),
             trained = static_cast<double>(shape.trained_parameters());
  return fmt::format("model: {}, {} parameters; trained: {} ({:.2f} %), {}\n", planned.model,
                     count_text(base), count_text(trained),
                     100 * trained / (base + (shape.trains_all ? 0 : trained)),
                     shape.trains_all ? "all weights" : "LoRA");
}

std::string setup_text(const Planned& planned) {
  const auto& sizing = planned.sizing;
  return fmt::format(
      "set-up: {}, {}, sharding {}; micro-batches of at most {} tokens; {} of {} layers keep their "
      "activations\n",
      name_of(sizing), planned.training.compute_bytes == 2 ? "bf16" : "fp32",
      sizing.is_sharded ? "full" : "none", sizing.plan.micro_batch_tokens, sizing.plan.kept_layers,
      planned.training.shape.config.num_hidden_layers);
}

std::string memory_text(const Planned& planned) {
  const auto& memory = planned.sizing.memory;
  const auto of_device = memory_of(planned.sizing);
  std::string text = "memory of each device:\n";
  for (const auto& [name, bytes] : memory.parts())
    if (bytes > 0) text += fmt::format("  {:<16} {:>12}\n", name, byte_size_text(bytes));
  text += fmt::format(
      "  {:<16} {:>12} of {} ({:.0f} %): {}\n", "together", byte_size_text(memory.total()),
      byte_size_text(of_device),
      100.0 * static_cast<double>(memory.total()) / static_cast<double>(std::max<std::int64_t>(1, of_device)),
      fit_text(planned.sizing.fit));
  if (memory.mapped > 0)
    text += fmt::format("  of it {} are pages of the model's files, which the system can take back\n",
                        byte_size_text(memory.mapped));
  if (planned.sizing.peak_bytes > memory.total())
    text += fmt::format("  {} at the peak, with the copy that is saved, where there is room for one\n",
                        byte_size_text(planned.sizing.peak_bytes));
  return text;
}

std::string limits_text(const Planned& planned) {
  const auto& sizing = planned.sizing;
  return fmt::format(
      "largest within 90 %: micro-batches of {} samples of {} tokens, recomputing all layers {}; one sample "
      "of {} "
      "tokens\n",
      sizing.most_samples, planned.training.sample_tokens, sizing.most_samples_recomputed,
      sizing.longest_sample);
}

std::string speed_text(const Planned& planned) {
  const auto& sizing = planned.sizing;
  return fmt::format(
      "work: {:.1f} GFLOP a token, {} tokens a step\n"
      "speed at {:.0f} % of {:.3g} TFLOP/s on each device: {:.0f} tokens/s; {:.0f} steps, {} tokens: {}\n",
      sizing.step_flops / sizing.step_tokens / 1e9, sizing.step_tokens, 100 * planned.utilisation,
      sizing.hardware.peak_flops / 1e12, sizing.tokens_per_second, planned.training.steps,
      count_text(planned.training.steps * sizing.step_tokens), time_text(sizing.seconds));
}

std::string smallest_text(const Planned& planned) {
  if (planned.smallest.empty()) return "smallest set-ups: none of up to 64 GPUs\n";
  std::string text = "smallest set-ups that fit:\n";
  for (const auto& sizing : planned.smallest)
    text += fmt::format("  {:<16} sharding {:<5} {:>10} of {:>10} {:>12} {:>10}\n", name_of(sizing),
                        sizing.is_sharded ? "full" : "none", byte_size_text(sizing.memory.total()),
                        byte_size_text(memory_of(sizing)),
                        fmt::format("{:.0f} tok/s", sizing.tokens_per_second), time_text(sizing.seconds));
  return text;
}

Json sizing_json(const Sizing& sizing) {
  Json parts = Json::object();
  for (const auto& [name, bytes] : sizing.memory.parts()) parts[name] = bytes;
  return {{"hardware", sizing.hardware.name},
          {"devices", sizing.devices},
          {"sharding", sizing.is_sharded ? "full" : "none"},
          {"micro_batch_tokens", sizing.plan.micro_batch_tokens},
          {"kept_layers", sizing.plan.kept_layers},
          {"memory", parts},
          {"total_bytes", sizing.memory.total()},
          {"mapped_bytes", sizing.memory.mapped},
          {"peak_bytes", sizing.peak_bytes},
          {"device_bytes", memory_of(sizing)},
          {"fits", sizing.fit == Fit::kFits || sizing.fit == Fit::kTight},
          {"verdict", fit_text(sizing.fit)},
          {"most_samples", sizing.most_samples},
          {"most_samples_recomputed", sizing.most_samples_recomputed},
          {"longest_sample", sizing.longest_sample},
          {"flops_per_token", sizing.step_flops / sizing.step_tokens},
          {"tokens_per_step", sizing.step_tokens},
          {"tokens_per_second", sizing.tokens_per_second},
          {"seconds", sizing.seconds}};
}

}  // namespace

std::string plan_text(const Planned& planned) {
  std::string text = model_text(planned) + setup_text(planned) + memory_text(planned) + limits_text(planned) +
                     speed_text(planned) + smallest_text(planned);
  for (const auto& note : planned.notes) text += "note: " + note + "\n";
  return text;
}

Json plan_json(const Planned& planned) {
  const auto& training = planned.training;
  Json json = sizing_json(planned.sizing);
  json["model"] = planned.model;
  json["parameters"] = training.shape.base_parameters();
  json["trained_parameters"] = training.shape.trained_parameters();
  json["compute_dtype"] = training.compute_bytes == 2 ? "bf16" : "fp32";
  json["sample_tokens"] = training.sample_tokens;
  json["utilisation"] = planned.utilisation;
  json["steps"] = training.steps;
  json["smallest"] = Json::array();
  for (const auto& sizing : planned.smallest) json["smallest"].push_back(sizing_json(sizing));
  json["notes"] = planned.notes;
  return json;
}

}  // namespace anneal
