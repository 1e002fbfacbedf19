#include "nn/packed_linear.h"

#include <ATen/Parallel.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "nn/element_type.h"
#include "nn/tile_gemm.h"

#ifndef ANNEAL_NN_PACKED_LINEAR_ARGUMENTS  // this file is compiled once for each SIMD target
#define ANNEAL_NN_PACKED_LINEAR_ARGUMENTS
namespace anneal {
namespace {

// The first `width` columns of `rows` rows of kTile sums, for rows of an output that lie `stride` apart.
struct Sums {
  const float* values;
  const float* factors;  // of the columns, where there are any
  std::int64_t rows, width, stride;
};

}  // namespace
}  // namespace anneal
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/packed_linear.cpp"
#include <hwy/foreach_target.h>

#include "nn/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

template <class Out>
void store_rows(const Sums& sums, Out* to) {
  for (std::int64_t row = 0; row < sums.rows; ++row)
    for_each_vector(sums.width, [&](std::size_t at, std::size_t count) HWY_ATTR {
      auto value = load(sums.values + row * kTile + at);
      if (sums.factors) value = hn::Mul(value, load(sums.factors + at, count));
      store(value, to + row * sums.stride + at, count);
    });
}

void store_rows_float(const Sums& sums, float* to) { store_rows(sums, to); }
void store_rows_bfloat16(const Sums& sums, c10::BFloat16* to) { store_rows(sums, to); }

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anneal {
namespace {

HWY_EXPORT(store_rows_float);
HWY_EXPORT(store_rows_bfloat16);

constexpr std::int64_t kGroupRows = 4 * kTile;  // rows that share one reading of a block's part
constexpr std::int64_t kInnerPart = 1024;  // inner elements of a block that stay in the second-level cache

std::int64_t blocks_of(std::int64_t out_features) { return (out_features + kTile - 1) / kTile; }

// Inner sizes are padded with zeros to whole pairs.
std::int64_t padded_inner(std::int64_t in_features, at::ScalarType type) {
  return type == at::kBFloat16 ? (in_features + 1) / 2 * 2 : in_features;
}

at::Tensor pad_inner(const at::Tensor& x, std::int64_t inner) {
  return x.size(1) == inner ? x : at::constant_pad_nd(x, {0, inner - x.size(1)});
}

at::Tensor pack_blocks(const at::Tensor& weight_OI, at::ScalarType type) {
  const auto out = weight_OI.size(0), inner = padded_inner(weight_OI.size(1), type);
  const auto weight = pad_inner(weight_OI.to(type), inner).contiguous();
  auto blocks = at::empty({blocks_of(out), inner, kTile}, at::TensorOptions().dtype(type));
  dispatch_element_type(type, [&]<class T>(T*) {
    const T* from = weight.const_data_ptr<T>();
    T* to = blocks.mutable_data_ptr<T>();
    at::parallel_for(0, blocks.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t block = begin; block < end; ++block)
        for (std::int64_t n = 0; n < kTile; ++n) {
          const auto row = block * kTile + n;
          for (std::int64_t k = 0; k < inner; ++k)
            to[block * inner * kTile + packed_index<T>(k, n, kTile)] =
                row < out ? from[row * inner + k] : T(0);
        }
    });
  });
  return blocks;
}

// One group of rows under one block of columns.
template <class T>
struct GroupTask {
  const T *x, *block;  // rows of `inner`; the packed block
  std::int64_t rows, inner;
  const T *low, *low_block;  // rows of `rank`, and its packed block, where there is a low-rank update
  std::int64_t rank;
};

template <class T>
void multiply_group(const GroupTask<T>& task, float* sums) {
  for (std::int64_t begin = 0; begin < task.inner; begin += kInnerPart) {
    const auto size = std::min(kInnerPart, task.inner - begin);
    for (std::int64_t row = 0; row < task.rows; row += kTile)
      tile_gemm(std::min(kTile, task.rows - row), kTile, size, task.x + row * task.inner + begin, task.inner,
                task.block + begin * kTile, sums + row * kTile, kTile, begin > 0);
  }
  if (!task.low) return;
  for (std::int64_t row = 0; row < task.rows; row += kTile)
    tile_gemm(std::min(kTile, task.rows - row), kTile, task.rank, task.low + row * task.rank, task.rank,
              task.low_block, sums + row * kTile, kTile, true);
}

}  // namespace

PackedLinear::PackedLinear(const at::Tensor& weight_OI, at::ScalarType type)
    : type_(type),
      in_features_(weight_OI.size(1)),
      out_features_(weight_OI.size(0)),
      blocks_(pack_blocks(weight_OI, type)) {}

void PackedLinear::add_low_rank(const at::Tensor& a_RI, const at::Tensor& b_OR, double scale) {
  low_a_ = std::make_shared<PackedLinear>(a_RI, type_);
  low_b_blocks_ = pack_blocks(b_OR, type_);
  low_scale_ = scale;
}

void PackedLinear::scale_outputs(const at::Tensor& factor_O) { factor_O_ = factor_O.contiguous(); }

at::Tensor PackedLinear::forward(const at::Tensor& x_NI, at::ScalarType out_type) const {
  const auto rows = x_NI.size(0), inner = blocks_.size(1);
  const auto x = pad_inner(x_NI, inner);
  at::Tensor low_NR;
  if (low_a_) {
    low_NR = low_a_->forward(x_NI, at::kFloat).mul_(low_scale_).to(type_);
    low_NR = pad_inner(low_NR, low_b_blocks_.size(1)).contiguous();
  }
  auto y_NO = at::empty({rows, out_features_}, x_NI.options().dtype(out_type));
  const auto groups = (rows + kGroupRows - 1) / kGroupRows;
  // Groups of one block follow each other, so that a thread finds the block in its cache.
  at::parallel_for(0, blocks_.size(0) * groups, 1, [&](std::int64_t begin, std::int64_t end) {
    dispatch_element_type(type_, [&]<class T>(T*) {
      std::vector<float> sums(std::min(rows, kGroupRows) * kTile);
      for (std::int64_t index = begin; index < end; ++index) {
        const auto block = index / groups, first_row = index % groups * kGroupRows;
        GroupTask<T> task{x.const_data_ptr<T>() + first_row * inner,
                          blocks_.const_data_ptr<T>() + block * inner * kTile,
                          std::min(kGroupRows, rows - first_row),
                          inner,
                          nullptr,
                          nullptr,
                          0};
        if (low_a_) {
          task.rank = low_NR.size(1);
          task.low = low_NR.const_data_ptr<T>() + first_row * task.rank;
          task.low_block = low_b_blocks_.const_data_ptr<T>() + block * task.rank * kTile;
        }
        multiply_group(task, sums.data());
        const Sums done{sums.data(),
                        factor_O_.defined() ? factor_O_.const_data_ptr<float>() + block * kTile : nullptr,
                        task.rows, std::min(kTile, out_features_ - block * kTile), out_features_};
        dispatch_element_type(out_type, [&]<class Out>(Out*) {
          auto* to = y_NO.mutable_data_ptr<Out>() + first_row * out_features_ + block * kTile;
          if constexpr (std::is_same_v<Out, float>)
            HWY_DYNAMIC_DISPATCH(store_rows_float)(done, to);
          else
            HWY_DYNAMIC_DISPATCH(store_rows_bfloat16)(done, to);
        });
      }
    });
    release_tiles();
  });
  return y_NO;
}

}  // namespace anneal
#endif  // HWY_ONCE
