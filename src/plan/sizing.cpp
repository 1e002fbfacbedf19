#include "plan/sizing.h"

#include <algorithm>

#include "plan/flops.h"

namespace anneal {
namespace {

constexpr int kMostDevices = 64;
constexpr std::int64_t kMostTokens = 1LL << 24;

// A tokenizer has, of each entry, its text and its id in both directions, and its merge by pair and rank.
// Measured with 49 thousand entries and with 152 thousand.
constexpr std::int64_t kTokenizerBytesOfAnEntry = 340;

// The largest count from 0 that `fits` still takes, which it does up to some count.
template <class Fits>
std::int64_t largest(std::int64_t limit, const Fits& fits) {
  std::int64_t low = 0, high = limit;
  while (low < high) {
    const auto middle = low + (high - low + 1) / 2;
    if (fits(middle))
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

bool shards(const Training& training, const Hardware& hardware, int devices) {
  if (devices == 1 || training.sharding == "none") return false;
  return training.sharding == "full" ||
         needs_sharding(training.shape, training.base_bytes, hardware.is_gpu ? 1 : devices,
                        hardware.memory_bytes - hardware.runtime_bytes);
}

StepSetup setup_of(const Training& training, const Hardware& hardware, int devices, bool is_sharded) {
  return {
      .compute_bytes = training.compute_bytes,
      .base_bytes = training.base_bytes,
      .is_gpu = hardware.is_gpu,
      .maps_weights = !hardware.is_gpu && training.stores_as_held,
      .ranks = devices,
      .is_sharded = is_sharded,
      .runtime_bytes = hardware.runtime_bytes +
                       (hardware.is_gpu ? 0 : training.shape.config.vocab_size * kTokenizerBytesOfAnEntry)};
}

void set_limits(const Training& training, const StepSetup& setup, std::int64_t memory_bytes, Sizing& sizing) {
  const auto fits = [&](std::int64_t tokens, std::int64_t kept) {
    return fit_of(step_memory(training.shape, setup, {tokens, kept}).total(), memory_bytes) == Fit::kFits;
  };
  const auto layers = training.shape.config.num_hidden_layers, sample = training.sample_tokens;
  const auto most = kMostTokens / sample;
  sizing.most_samples = largest(most, [&](std::int64_t count) { return fits(count * sample, layers); });
  sizing.most_samples_recomputed = largest(most, [&](std::int64_t count) { return fits(count * sample, 0); });
  sizing.longest_sample =
      largest(training.shape.config.rope.longest(), [&](std::int64_t tokens) { return fits(tokens, 0); });
}

// All tokens of a sample count as trained: the most that it can be.
void set_speed(const Training& training, double utilisation, Sizing& sizing) {
  const auto tokens = training.sample_tokens;
  const double samples = static_cast<double>(training.samples_of_step) * sizing.devices;
  const auto again = training.shape.config.num_hidden_layers - sizing.plan.kept_layers;
  const double a_sample = flop_rates(training.shape).of_sample(tokens, tokens - 1) +
                          recomputed_flops(training.shape, tokens, again);
  sizing.step_flops = samples * a_sample;
  sizing.step_tokens = samples * static_cast<double>(tokens);
  const double step_seconds = sizing.step_flops / (sizing.hardware.peak_flops * utilisation * sizing.devices);
  sizing.tokens_per_second = sizing.step_tokens / step_seconds;
  sizing.seconds = step_seconds * training.steps;
}

// The next steps run beside a copy that is written, the last state's is alone with what is held. Where there
// is no room for a copy, training waits instead.
std::int64_t bytes_while_saving(const Training& training, const Sizing& sizing, const StepMemory& held) {
  const bool is_beside_steps = training.save_steps > 0 && training.save_steps < training.steps;
  return saved_copy_bytes(training.shape) +
         (is_beside_steps ? sizing.memory.total() : held.states() + held.runtime);
}

}  // namespace

Sizing size_training(const Training& training, const Hardware& hardware, int devices, double utilisation) {
  Sizing sizing{.hardware = hardware, .devices = devices, .is_sharded = shards(training, hardware, devices)};
  // Processes on a processor share its memory.
  const auto share = hardware.is_gpu ? hardware.memory_bytes : hardware.memory_bytes / devices;
  const auto setup = setup_of(training, hardware, devices, sizing.is_sharded);
  const PlanRequest request{training.micro_batch_tokens, training.gradient_checkpointing,
                            training.samples_of_step * training.sample_tokens, training.sample_tokens};
  const auto held = step_memory(training.shape, setup, {0, 0});
  sizing.plan = make_plan(training.shape, setup, request,
                          std::max<std::int64_t>(0, share - held.states() - held.runtime));
  sizing.memory = step_memory(training.shape, setup, busiest(sizing.plan, request));
  sizing.peak_bytes = sizing.memory.total();
  if (!hardware.is_gpu)
    sizing.peak_bytes = std::max(sizing.peak_bytes, bytes_while_saving(training, sizing, held));
  sizing.fit = fit_of(sizing.memory.total(), share);
  set_limits(training, setup, share, sizing);
  set_speed(training, utilisation, sizing);
  return sizing;
}

std::optional<Sizing> smallest_fit(const Training& training, const Hardware& hardware, double utilisation) {
  for (int devices = 1; devices <= kMostDevices; devices *= 2) {
    auto sizing = size_training(training, hardware, devices, utilisation);
    if (sizing.fit == Fit::kFits) return sizing;
    if (!hardware.is_gpu) return std::nullopt;  // more processes find no more memory there
  }
  return std::nullopt;
}

}  // namespace anneal
