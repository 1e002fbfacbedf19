#include "models/moe_block.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

namespace anneal {
namespace {

// How many rows each expert has. Tensors without values are dealt out evenly.
std::vector<std::int64_t> starts_of(const at::Tensor& experts_NT, std::int64_t experts) {
  std::vector<std::int64_t> starts{0};
  if (experts_NT.is_meta()) {
    for (std::int64_t expert = 1; expert <= experts; ++expert)
      starts.push_back(experts_NT.numel() * expert / experts);
    return starts;
  }
  const auto counts = at::bincount(experts_NT.view({-1}), {}, experts).cpu();
  for (std::int64_t expert = 0; expert < experts; ++expert)
    starts.push_back(starts.back() + counts.const_data_ptr<std::int64_t>()[expert]);
  return starts;
}

// The sum over the choices of each token, in float32.
at::Tensor sum_of_choices(const at::Tensor& rows_SE, const Routing& routing, const at::Tensor& weights_NT) {
  const auto tokens = routing.experts_NT.size(0), choices = routing.experts_NT.size(1);
  const auto rows_NTE =
      rows_SE.index_select(0, routing.place_of_NT).view({tokens, choices, -1}).to(at::kFloat);
  return (weights_NT.defined() ? rows_NTE * weights_NT.unsqueeze(-1) : rows_NTE)
      .sum(1)
      .to(rows_SE.scalar_type());
}

PassContext context_of(const Routing& routing, const PassContext& context) {
  return context.training() ? PassContext{context.dropout_row_keys.index_select(0, routing.row_of_S)}
                            : PassContext{};
}

PassContext slice(const PassContext& context, std::int64_t begin, std::int64_t end) {
  return context.training() ? PassContext{context.dropout_row_keys.slice(0, begin, end)} : PassContext{};
}

void add_to(at::Tensor& sum, const at::Tensor& term) {
  if (sum.defined())
    sum.add_(term);
  else
    sum = term;
}

}  // namespace

bool MoeBlock::is_trained() const {
  return router.is_trained() ||
         std::any_of(experts.begin(), experts.end(), [](const auto& expert) { return expert.is_trained(); });
}

Routing MoeBlock::route(const at::Tensor& h_NE) const {
  Routing routing;
  LoraActivations none;
  routing.probabilities_NX = at::softmax(router.forward(h_NE.to(at::kFloat), {}, none), -1);
  std::tie(routing.weights_NT, routing.experts_NT) =
      at::topk(routing.probabilities_NX, experts_per_token, -1);
  if (normalizes_weights) routing.weights_NT.div_(routing.weights_NT.sum(-1, true));
  const auto flat_S = at::argsort(routing.experts_NT.view({-1}), /*stable=*/true);
  routing.flat_of_S = flat_S;
  routing.row_of_S = flat_S.div(experts_per_token, "floor");
  routing.place_of_NT =
      at::empty_like(flat_S).scatter_(0, flat_S, at::arange(flat_S.numel(), flat_S.options()));
  routing.starts = starts_of(routing.experts_NT, static_cast<std::int64_t>(experts.size()));
  return routing;
}

at::Tensor MoeBlock::forward(const at::Tensor& h_NE, const PassContext& context, MoeActivations& keep,
                             RouterBalance* balance) const {
  keep.routing = route(h_NE);
  const auto& routing = keep.routing;
  if (balance) balance->add(routing.probabilities_NX, routing.experts_NT);
  const auto h_SE = h_NE.index_select(0, routing.row_of_S);
  const auto context_S = context_of(routing, context);
  keep.experts.resize(experts.size());
  keep.outputs_SE = at::empty_like(h_SE);
  for (std::size_t expert = 0; expert < experts.size(); ++expert) {
    const auto begin = routing.starts[expert], end = routing.starts[expert + 1];
    if (begin == end) continue;
    keep.outputs_SE.slice(0, begin, end)
        .copy_(experts[expert].forward(h_SE.slice(0, begin, end), slice(context_S, begin, end),
                                       keep.experts[expert]));
  }
  return sum_of_choices(keep.outputs_SE, routing, routing.weights_NT);
}

void MoeBlock::backward(const at::Tensor& dy_NE, const at::Tensor& h_NE, MoeActivations& kept,
                        const PassContext& context, at::Tensor* dh_NE, const RouterBalance* balance) const {
  const auto& routing = kept.routing;
  const auto h_SE = h_NE.index_select(0, routing.row_of_S);
  const auto dy_SE = dy_NE.index_select(0, routing.row_of_S);
  const auto d_weights_S = (dy_SE.to(at::kFloat) * kept.outputs_SE.to(at::kFloat)).sum(-1);
  kept.outputs_SE.reset();
  const auto weights_S = routing.weights_NT.view({-1}).index_select(0, routing.flat_of_S);
  const auto d_outputs_SE = (dy_SE * weights_S.unsqueeze(-1)).to(dy_NE.scalar_type());
  const auto context_S = context_of(routing, context);
  at::Tensor dh_SE;
  if (dh_NE) dh_SE = at::empty_like(h_SE);
  for (std::size_t expert = 0; expert < experts.size(); ++expert) {
    const auto begin = routing.starts[expert], end = routing.starts[expert + 1];
    if (begin == end) continue;
    at::Tensor dh;
    experts[expert].backward(d_outputs_SE.slice(0, begin, end), h_SE.slice(0, begin, end),
                             kept.experts[expert], slice(context_S, begin, end), dh_NE ? &dh : nullptr);
    if (dh_NE) dh_SE.slice(0, begin, end).copy_(dh);
  }
  if (dh_NE) add_to(*dh_NE, sum_of_choices(dh_SE, routing, {}));
  backward_router(d_weights_S.index_select(0, routing.place_of_NT).view_as(routing.weights_NT), h_NE, routing,
                  dh_NE, balance);
}

void MoeBlock::backward_router(const at::Tensor& d_weights_NT, const at::Tensor& h_NE, const Routing& routing,
                               at::Tensor* dh_NE, const RouterBalance* balance) const {
  if (!dh_NE && !router.weight_parameter) return;
  const auto& p_NX = routing.probabilities_NX;
  auto d_chosen_NT = d_weights_NT;
  if (normalizes_weights) {
    const auto sum_N1 = p_NX.gather(1, routing.experts_NT).sum(-1, true);
    d_chosen_NT = (d_weights_NT - (d_weights_NT * routing.weights_NT).sum(-1, true)) / sum_N1;
  }
  const auto dp_NX = at::zeros_like(p_NX).scatter_(1, routing.experts_NT, d_chosen_NT);
  if (balance) dp_NX.add_(balance->gradient_NX());
  const auto d_logits_NX = p_NX * (dp_NX - (dp_NX * p_NX).sum(-1, true));
  if (router.weight_parameter)
    router.weight_parameter->gradient.add_(at::mm(d_logits_NX.t(), h_NE.to(at::kFloat)));
  if (dh_NE) add_to(*dh_NE, at::mm(d_logits_NX, router.weight_OI.to(at::kFloat)).to(h_NE.scalar_type()));
}

}  // namespace anneal
