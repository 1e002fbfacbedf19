// One token from the scores of all, with vLLM's meaning of temperature, top_k and top_p.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "generate/generate_options.h"

namespace anneal {

// A token and its probability.
struct Candidate {
  std::int32_t id;
  double probability;
};

// What top_k and top_p leave, likeliest first (of equal ones the smaller id), their probabilities summing to
// 1: softmax(logits / temperature), then the top_k likeliest, renormalised, then the smallest set of the
// likeliest that reaches top_p, renormalised. A temperature under 0.01 counts as 0.01.
std::vector<Candidate> candidates(std::span<const float> logits, const GenerateOptions& options);

// Both throw UserError(kNumerical) where the largest logit is not finite.
//
// The likeliest token where the temperature is under 1e-5, of equal ones the smaller id; else drawn from the
// candidates by `uniform` in [0, 1).
std::int32_t sample(std::span<const float> logits, const GenerateOptions& options, double uniform);

}  // namespace anneal
