#include "train/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace anneal {
namespace {

constexpr double kPolynomialEnd = 1e-7;                // transformers' default lr_end, with power 1
constexpr std::int64_t kInverseSqrtTimescale = 10000;  // transformers' default where there is no warm-up

}  // namespace

LrSchedule::LrSchedule(std::string type, double learning_rate, double min_learning_rate, double warmup_ratio,
                       std::int64_t total_steps)
    : type_(std::move(type)),
      peak_(learning_rate),
      floor_(min_learning_rate),
      warmup_steps_(static_cast<std::int64_t>(std::ceil(static_cast<double>(total_steps) * warmup_ratio))),
      total_steps_(total_steps) {}

double LrSchedule::at(std::int64_t k) const {
  if (type_ == "constant") return peak_;
  if (k < warmup_steps_)
    return peak_ * static_cast<double>(k) / static_cast<double>(std::max<std::int64_t>(1, warmup_steps_));
  const auto length = std::max<std::int64_t>(1, total_steps_ - warmup_steps_);
  return after_warmup(static_cast<double>(k - warmup_steps_) / static_cast<double>(length), k);
}

double LrSchedule::after_warmup(double progress, std::int64_t k) const {
  if (type_ == "constant_with_warmup") return peak_;
  if (type_ == "linear") return floor_ + (peak_ - floor_) * std::max(0.0, 1 - progress);
  if (type_ == "polynomial") {
    const double end = std::max(floor_, kPolynomialEnd);
    return progress > 1 ? end : end + (peak_ - end) * (1 - progress);
  }
  if (type_ == "inverse_sqrt") {
    const double timescale = static_cast<double>(warmup_steps_ > 0 ? warmup_steps_ : kInverseSqrtTimescale);
    const double shift = timescale - static_cast<double>(warmup_steps_);
    return std::max(floor_, peak_ / std::sqrt((static_cast<double>(k) + shift) / timescale));
  }
  if (type_ == "cosine_with_restarts" && progress >= 1) return floor_;
  return floor_ + (peak_ - floor_) * std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * progress)));
}

}  // namespace anneal
