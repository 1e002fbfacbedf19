// Whether a converted model is what it should be: its files hold what was computed, and it gives the logits
// of base and adapter.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "checkpoint/converted_model.h"

namespace anneal {

// Reads three tensors of `folder` back, merged ones first, and computes them anew. Throws UserError(kModel)
// that names the one that differs.
std::string verify_tensors(const ConvertedModel& model, const std::filesystem::path& folder);

struct LogitCheck {
  std::string line;  // for the user
  bool agrees = true;
};

// The largest difference of logits between the written folder and its sources, on a fixed sequence of tokens,
// computed in float32. Where the family is not known or memory is short, the line says that.
LogitCheck compare_logits(const std::filesystem::path& folder, const std::filesystem::path& weights,
                          const std::optional<std::filesystem::path>& adapter);

}  // namespace anneal
