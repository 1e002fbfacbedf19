// A mixture of experts (Shazeer et al. 2017; as in Mixtral and Qwen3-MoE): each token goes through the
// `experts_per_token` experts that a router gives it most weight for. Tokens are grouped by expert: each runs
// once over its own, without padding, and an expert without a token does nothing. The router runs in float32.
// Shapes: N tokens, E hidden size, X experts, T experts of a token, S = N * T rows in the order of experts.
#pragma once
#include <string>
#include <vector>

#include "models/gated_mlp.h"
#include "models/router_balance.h"

namespace anneal {

// Which rows go where.
struct Routing {
  at::Tensor probabilities_NX;       // of the router, float32
  at::Tensor experts_NT;             // int64
  at::Tensor weights_NT;             // float32
  at::Tensor row_of_S;               // int64: the token of each row
  at::Tensor flat_of_S;              // int64: its index in weights_NT
  at::Tensor place_of_NT;            // int64: where in S each choice of a token lies
  std::vector<std::int64_t> starts;  // of each expert's rows, and the end
};

struct MoeActivations {
  Routing routing;
  std::vector<MlpActivations> experts;
  at::Tensor outputs_SE;  // of the experts, not yet weighted
};

class MoeBlock {
 public:
  Linear router;  // frozen but in full fine-tuning
  std::vector<GatedMlp> experts;
  std::int64_t experts_per_token = 0;
  bool normalizes_weights = false;  // so that the chosen ones sum to 1

  // `balance`: of routers with a loss of their own, else null.
  at::Tensor forward(const at::Tensor& h_NE, const PassContext& context, MoeActivations& keep,
                     RouterBalance* balance = nullptr) const;

  // As that of GatedMlp.
  void backward(const at::Tensor& dy_NE, const at::Tensor& h_NE, MoeActivations& kept,
                const PassContext& context, at::Tensor* dh_NE, const RouterBalance* balance = nullptr) const;

  bool is_trained() const;

 private:
  Routing route(const at::Tensor& h_NE) const;
  // From the gradient of the chosen weights to that of the router and of its input.
  void backward_router(const at::Tensor& d_weights_NT, const at::Tensor& h_NE, const Routing& routing,
                       at::Tensor* dh_NE, const RouterBalance* balance) const;
};

}  // namespace anneal
