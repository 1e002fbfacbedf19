#include "plan/fit.h"

#include <fmt/format.h>

#include "base/byte_size.h"

namespace anneal {

Fit fit_of(std::int64_t needed_bytes, std::int64_t available_bytes) {
  const auto share = static_cast<double>(needed_bytes) / static_cast<double>(available_bytes);
  if (share > kRefuseAbove) return Fit::kDoesNotFit;
  if (share > 1) return Fit::kMayNotFit;
  return share > kWarnAbove ? Fit::kTight : Fit::kFits;
}

std::string need_text(const std::string& what, std::int64_t needed_bytes, std::int64_t available_bytes) {
  return fmt::format("{} needs about {}, {} are there", what, byte_size_text(needed_bytes),
                     byte_size_text(available_bytes));
}

std::string memory_advice(bool full_ft, bool of_states, bool is_recomputed, int ranks) {
  if (of_states)
    return full_ft
               ? "train an adapter (leave out --full_ft), or share the states: more --num_workers on more "
                 "devices "
                 "with --sharding full"
               : std::string(ranks > 1 ? "" : "more --num_workers on more devices with --sharding full, ") +
                     "--base_dtype bf16, or a smaller model";
  return std::string("a smaller --max_seq_length or --micro_batch_tokens") +
         (is_recomputed ? "" : ", or --gradient_checkpointing on");
}

}  // namespace anneal
