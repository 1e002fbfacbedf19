// FULL_SHARD of one unit of a model: the embedding, a layer, or the head. All tensors of a kind lie one after
// another in a flat array that is cut into as many parts as there are ranks; each rank holds its part, and
// all of it only between gather() and release(). Whole tensors are views of the gathered array, so that
// nothing is copied. Between times the model holds placeholders: shapes without storage, whose use fails.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "dist/process_group.h"
#include "nn/parameter.h"

namespace anneal {

class ShardedUnit {
 public:
  ShardedUnit(ProcessGroup& group, at::Device device) : group_(group), device_(device) {}
  ShardedUnit(ShardedUnit&&) = default;

  // Of a frozen weight, which may be mapped from a file, only this rank's part is read. It is held in `type`.
  void add_frozen(at::Tensor& weight, at::ScalarType type);
  // `weight` is where the model keeps the parameter's compute tensor, if not in the parameter alone. `held`:
  // the dtype that the initial values are rounded to first.
  void add_trained(Parameter& parameter, at::ScalarType compute, at::ScalarType held, at::Tensor* weight);
  // After the last add: takes over this rank's parts.
  void share();

  void start_gather();  // in the background
  void gather();        // waits; starts it where that was not done
  void release();

  // Between them the layers add to whole gradients, which start at zero. Closing begins to sum them over
  // ranks, in the background; finish_gradients() waits, and adds this rank's part of the sum to the
  // parameters' value_gradient.
  void open_gradients();
  void close_gradients();
  void finish_gradients();

  // For checkpoints: all of the float32 masters, by parameter. Every rank takes part.
  struct Master {
    const Parameter* parameter;
    at::Tensor value;
  };
  std::vector<Master> gather_masters();

  std::int64_t bytes_held() const;

 private:
  struct Piece {
    at::Tensor* weight;    // where the model looks for it; may be none
    Parameter* parameter;  // none for a frozen one
    at::Tensor initial;    // until share()
    at::ScalarType held;
    std::vector<std::int64_t> shape;
    std::int64_t offset, numel;
    at::Tensor placeholder;
  };
  struct Flat {
    at::ScalarType type;  // that layers compute with, or that a frozen weight is held in
    bool is_trained;
    std::vector<Piece> pieces;
    std::int64_t part = 0;         // elements of each rank
    at::Tensor own, own_gradient;  // [part]; float32 of trained ones
    at::Tensor sent;               // what is being gathered: own in `type`
    at::Tensor whole, gradient;    // [part * ranks] while they are there
    Pending gathering;
    at::Tensor sum;  // [part]: this rank's of what is being summed over ranks
    Pending summing;
  };
  Flat& flat_of(at::ScalarType type, bool is_trained);
  void add(Flat& flat, Piece piece);
  void take_part(Flat& flat);
  void set_views(Flat& flat, const at::Tensor& whole);

  ProcessGroup& group_;
  at::Device device_;
  std::vector<Flat> flats_;
  bool is_gathering_ = false, is_gathered_ = false;
};

// The weights of a unit are there for as long as this lives. Nothing where the model is not shared (no unit).
class Gathered {
 public:
  explicit Gathered(ShardedUnit* unit) : unit_(unit) {
    if (unit_) unit_->gather();
  }
  ~Gathered() {
    if (unit_) unit_->release();
  }
  Gathered(const Gathered&) = delete;
  Gathered& operator=(const Gathered&) = delete;

 private:
  ShardedUnit* unit_;
};

inline void prefetch(ShardedUnit* unit) {
  if (unit) unit->start_gather();
}

}  // namespace anneal
