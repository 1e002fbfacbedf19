#include "models/sharded_unit.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

namespace anneal {
namespace {

constexpr std::int64_t kAlignment = 32;  // elements: kernels load 64 bytes at a time

std::int64_t aligned(std::int64_t count) { return (count + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

ShardedUnit::Flat& ShardedUnit::flat_of(at::ScalarType type, bool is_trained) {
  for (auto& flat : flats_)
    if (flat.type == type && flat.is_trained == is_trained) return flat;
  auto& flat = flats_.emplace_back();
  flat.type = type;
  flat.is_trained = is_trained;
  return flat;
}

void ShardedUnit::add(Flat& flat, Piece piece) {
  const auto end = flat.pieces.empty() ? 0 : flat.pieces.back().offset + flat.pieces.back().numel;
  piece.offset = aligned(end);
  piece.numel = piece.initial.numel();
  piece.shape = piece.initial.sizes().vec();
  piece.placeholder = at::empty(piece.shape, at::TensorOptions().dtype(flat.type).device(at::kMeta));
  flat.pieces.push_back(std::move(piece));
}

void ShardedUnit::add_frozen(at::Tensor& weight, at::ScalarType type) {
  add(flat_of(type, false), {.weight = &weight, .initial = weight, .held = type});
}

void ShardedUnit::add_trained(Parameter& parameter, at::ScalarType compute, at::ScalarType held,
                              at::Tensor* weight) {
  const auto initial = parameter.value.defined() ? parameter.value : parameter.compute;
  add(flat_of(compute, true), {.weight = weight, .parameter = &parameter, .initial = initial, .held = held});
}

void ShardedUnit::share() {
  for (auto& flat : flats_) take_part(flat);
  release();
}

void ShardedUnit::take_part(Flat& flat) {
  const auto total = flat.pieces.back().offset + flat.pieces.back().numel;
  flat.part = aligned((total + group_.size() - 1) / group_.size());
  const auto type = flat.is_trained ? at::kFloat : flat.type;
  flat.own = at::zeros({flat.part}, at::TensorOptions(device_).dtype(type));
  if (flat.is_trained) flat.own_gradient = at::zeros_like(flat.own);
  const auto begin = group_.rank() * flat.part, end = begin + flat.part;
  for (auto& piece : flat.pieces) {
    const auto from = std::clamp(piece.offset, begin, end),
               to = std::clamp(piece.offset + piece.numel, begin, end);
    const auto initial = piece.initial.reshape({-1}).slice(0, from < to ? from - piece.offset : 0,
                                                           from < to ? to - piece.offset : 0);
    auto own = flat.own.slice(0, from - begin, std::max(from, to) - begin);
    own.copy_(initial.to(piece.held));
    if (piece.parameter) {
      auto& parameter = *piece.parameter;
      parameter.is_shared = true;
      parameter.first_element = from < to ? from - piece.offset : 0;
      parameter.value = own;
      parameter.value_gradient = flat.own_gradient.slice(0, from - begin, std::max(from, to) - begin);
    }
    piece.initial.reset();
  }
}

void ShardedUnit::set_views(Flat& flat, const at::Tensor& whole) {
  for (auto& piece : flat.pieces) {
    const auto view = whole.defined()
                          ? whole.slice(0, piece.offset, piece.offset + piece.numel).view(piece.shape)
                          : piece.placeholder;
    if (piece.weight) *piece.weight = view;
    if (piece.parameter) piece.parameter->compute = view;
  }
}

void ShardedUnit::start_gather() {
  if (is_gathering_ || is_gathered_) return;
  for (auto& flat : flats_) {
    flat.whole = at::empty({flat.part * group_.size()}, flat.own.options().dtype(flat.type));
    flat.sent = flat.own.to(flat.type);
    flat.gathering = group_.all_gather(flat.sent, flat.whole);
  }
  is_gathering_ = true;
}

void ShardedUnit::gather() {
  if (is_gathered_) return;
  start_gather();
  for (auto& flat : flats_) {
    flat.gathering.wait();
    flat.sent.reset();
    set_views(flat, flat.whole);
  }
  is_gathering_ = false;
  is_gathered_ = true;
}

void ShardedUnit::release() {
  for (auto& flat : flats_) {
    flat.whole.reset();
    set_views(flat, {});
  }
  is_gathered_ = false;
}

void ShardedUnit::open_gradients() {
  finish_gradients();
  for (auto& flat : flats_) {
    if (!flat.is_trained) continue;
    flat.gradient = at::zeros({flat.part * group_.size()}, flat.own.options());
    for (auto& piece : flat.pieces)
      piece.parameter->gradient =
          flat.gradient.slice(0, piece.offset, piece.offset + piece.numel).view(piece.shape);
  }
}

void ShardedUnit::close_gradients() {
  for (auto& flat : flats_) {
    if (!flat.is_trained) continue;
    flat.sum = at::empty_like(flat.own);
    flat.summing = group_.reduce_scatter(flat.gradient, flat.sum);
    for (auto& piece : flat.pieces) piece.parameter->gradient.reset();
  }
}

void ShardedUnit::finish_gradients() {
  for (auto& flat : flats_) {
    if (!flat.sum.defined()) continue;
    flat.summing.wait();
    flat.gradient.reset();
    flat.own_gradient.add_(flat.sum);
    flat.sum.reset();
  }
}

std::vector<ShardedUnit::Master> ShardedUnit::gather_masters() {
  std::vector<Master> masters;
  for (auto& flat : flats_) {
    if (!flat.is_trained) continue;
    auto whole = at::empty({flat.part * group_.size()}, flat.own.options());
    group_.all_gather(flat.own, whole).wait();
    for (const auto& piece : flat.pieces)
      masters.push_back(
          {piece.parameter, whole.slice(0, piece.offset, piece.offset + piece.numel).view(piece.shape)});
  }
  return masters;
}

std::int64_t ShardedUnit::bytes_held() const {
  std::int64_t bytes = 0;
  for (const auto& flat : flats_)
    for (const auto* tensor : {&flat.own, &flat.own_gradient, &flat.whole, &flat.gradient, &flat.sum})
      if (tensor->defined()) bytes += static_cast<std::int64_t>(tensor->nbytes());
  return bytes;
}

}  // namespace anneal
