#include "nn/block_gemm.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <vector>

#include "nn/plain_forms.h"
#include "nn/tile_gemm.h"

#ifndef ANNEAL_NN_BLOCK_GEMM_ARGUMENTS  // this file is compiled once for each SIMD target
#define ANNEAL_NN_BLOCK_GEMM_ARGUMENTS
namespace anneal {
namespace {

using BFloat16 = c10::BFloat16;

// A weight as it lies, and the part of it that is packed: `columns` from `column` on, `inner` from `from` on.
struct PackTask {
  const BFloat16* weight;
  std::int64_t stride;
  WeightLayout layout;
  std::int64_t column, columns, from, inner;
};

// Rows of one group and columns of one block of a result.
struct Cell {
  std::int64_t row, rows, column, columns;
  bool is_new_column;  // to the one who visits
};

// Where the sums of a cell go, rows of kTile each: to rows of y, which lie `stride` apart, together with what
// is left of the update, where there is dropout.
struct StoreTask {
  const float* update;
  BFloat16* y;  // at the cell's first element
  std::int64_t stride;
  bool accumulate;
  const ProductDropout* drop;
};

}  // namespace
}  // namespace anneal
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/block_gemm.cpp"
#include <hwy/foreach_target.h>

#include "nn/dropout-inl.h"
#include "nn/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

// Columns that the weight does not have are zero.
void pack_block(const PackTask& task, BFloat16* packed) {
  if (task.columns < kTile) std::fill_n(packed, task.inner * kTile, BFloat16(0));
  if (task.layout == WeightLayout::kOutputsByInputs)
    pack_columns(task.weight + task.column * task.stride + task.from, task.stride, task.columns, task.inner,
                 kTile, packed);
  else
    pack_rows(task.weight + task.from * task.stride + task.column, task.stride, task.inner, task.columns,
              kTile, packed);
}

void transpose_rows(const BFloat16* from, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                    BFloat16* to, std::int64_t to_stride) {
  transpose(from, stride, rows, columns, to, to_stride);
}

void add_dropped(const ProductDropout& drop, const Cell& cell, std::int64_t row, const float* update,
                 float* sums) {
  const auto scale = hn::Set(FloatTag(), static_cast<float>(1 / (1 - drop.probability)));
  for_each_kept(element_key(drop.keys, cell.row + row), drop_threshold(drop.probability),
                static_cast<std::size_t>(cell.column), static_cast<std::size_t>(cell.columns),
                [&](std::size_t at, std::size_t count, auto keep) HWY_ATTR {
                  const auto kept = hn::IfThenElseZero(keep, hn::Mul(load(update + at, count), scale));
                  store(hn::Add(load(sums + at, count), kept), sums + at, count);
                });
}

void store_cell(const StoreTask& task, const Cell& cell, float* sums) {
  for (std::int64_t row = 0; row < cell.rows; ++row) {
    float* sums_of_row = sums + row * kTile;
    if (task.drop) add_dropped(*task.drop, cell, row, task.update + row * kTile, sums_of_row);
    BFloat16* y = task.y + row * task.stride;
    for_each_vector(static_cast<std::size_t>(cell.columns), [&](std::size_t at, std::size_t count) HWY_ATTR {
      auto value = load(sums_of_row + at, count);
      if (task.accumulate) value = hn::Add(value, load(y + at, count));
      store(value, y + at, count);
    });
  }
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anneal {
namespace {

HWY_EXPORT(pack_block);
HWY_EXPORT(transpose_rows);
HWY_EXPORT(store_cell);

constexpr std::int64_t kFewestRows = 128;
constexpr std::int64_t kGroupRows = 2 * kTile;  // rows whose sums stay in the first-level cache
constexpr std::int64_t kInnerPart = 1024;       // inner elements of a packed block that stay in the second
constexpr std::int64_t kLongPart = 2 * kInnerPart;

// A result as groups of rows under blocks of columns. What threads are given of it differs by one group, and
// a thread packs a block once.
struct Grid {
  std::int64_t rows, columns;
  std::int64_t groups() const { return (rows + kGroupRows - 1) / kGroupRows; }
  std::int64_t size() const { return groups() * ((columns + kTile - 1) / kTile); }
};

// Calls visit(Cell) for the cells from `begin` to `end`, column after column.
template <class Visit>
void for_each_cell(const Grid& grid, std::int64_t begin, std::int64_t end, const Visit& visit) {
  for (std::int64_t index = begin; index < end; ++index) {
    const auto row = index % grid.groups() * kGroupRows, column = index / grid.groups() * kTile;
    visit(Cell{row, std::min(kGroupRows, grid.rows - row), column, std::min(kTile, grid.columns - column),
               index == begin || row == 0});
  }
}

void pack(const Factors& f, const Cell& cell, std::int64_t from, std::int64_t inner,
          std::vector<BFloat16>& packed) {
  packed.resize(static_cast<std::size_t>(inner * kTile));
  const PackTask task{f.weight.const_data_ptr<BFloat16>(),
                      f.weight.stride(0),
                      f.layout,
                      cell.column,
                      cell.columns,
                      from,
                      inner};
  HWY_DYNAMIC_DISPATCH(pack_block)(task, packed.data());
}

// sums (+)= rows of x times a packed block. What is left of whole tiles is cut into powers of two, as a
// product is compiled for each number of rows.
void multiply_rows(const BFloat16* x, std::int64_t stride, std::int64_t rows, std::int64_t inner,
                   const BFloat16* packed, float* sums, std::int64_t sums_stride, bool accumulate) {
  std::int64_t tile = kTile;
  for (std::int64_t row = 0; row < rows; row += tile) {
    while (tile > rows - row) tile /= 2;
    tile_gemm(tile, kTile, inner, x + row * stride, stride, packed, sums + row * sums_stride, sums_stride,
              accumulate);
  }
}

void multiply_cell(const Factors& f, const Cell& cell, const std::vector<BFloat16>& packed, float* sums,
                   bool accumulate) {
  const auto inner = f.x_MK.size(1), stride = f.x_MK.stride(0);
  const BFloat16* x = f.x_MK.const_data_ptr<BFloat16>() + cell.row * stride;
  for (std::int64_t from = 0; from < inner; from += kInnerPart)
    multiply_rows(x + from, stride, cell.rows, std::min(kInnerPart, inner - from),
                  packed.data() + from * kTile, sums, kTile, accumulate || from > 0);
}

}  // namespace

bool takes_block_gemm(const at::Tensor& x_MK) {
  return x_MK.scalar_type() == at::kBFloat16 && x_MK.size(0) >= kFewestRows && x_MK.size(1) % 2 == 0 &&
         runs_kernel(Kernel::kBlockGemm, x_MK) && has_fast_tile_gemm<BFloat16>();
}

bool takes_float_gemm(const at::Tensor& x_MK, std::int64_t columns) {
  return takes_block_gemm(x_MK) && columns % kTile == 0;
}

void multiply(const Factors& product, const std::optional<Factors>& update,
              const std::optional<ProductDropout>& drop, at::Tensor& y_MN, bool accumulate) {
  const Grid grid{y_MN.size(0), y_MN.size(1)};
  const auto stride = y_MN.stride(0);
  BFloat16* y = y_MN.mutable_data_ptr<BFloat16>();
  at::parallel_for(0, grid.size(), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<BFloat16> packed, packed_update;
    std::vector<float> sums(kGroupRows * kTile), dropped(drop ? kGroupRows * kTile : 0);
    for_each_cell(grid, begin, end, [&](const Cell& cell) {
      if (cell.is_new_column) {
        pack(product, cell, 0, product.x_MK.size(1), packed);
        if (update) pack(*update, cell, 0, update->x_MK.size(1), packed_update);
      }
      multiply_cell(product, cell, packed, sums.data(), /*accumulate=*/false);
      if (update)
        multiply_cell(*update, cell, packed_update, drop ? dropped.data() : sums.data(), !drop.has_value());
      const StoreTask task{dropped.data(), y + cell.row * stride + cell.column, stride, accumulate,
                           drop ? &*drop : nullptr};
      HWY_DYNAMIC_DISPATCH(store_cell)(task, cell, sums.data());
    });
    release_tiles();
  });
}

void multiply_long(const at::Tensor& x_MK, const at::Tensor& weight_KN, at::Tensor& y_MN) {
  const Factors product{x_MK, weight_KN, WeightLayout::kInputsByOutputs};
  const Grid grid{y_MN.size(0), y_MN.size(1)};
  const auto inner = x_MK.size(1);
  float* y = y_MN.mutable_data_ptr<float>();
  at::parallel_for(0, grid.size(), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<BFloat16> packed;
    for (std::int64_t from = 0; from < inner; from += kLongPart)
      for_each_cell(grid, begin, end, [&](const Cell& cell) {
        const auto part = std::min(kLongPart, inner - from);
        if (cell.is_new_column) pack(product, cell, from, part, packed);
        const BFloat16* x = x_MK.const_data_ptr<BFloat16>() + cell.row * x_MK.stride(0) + from;
        for (std::int64_t at = 0; at < part; at += kInnerPart)
          multiply_rows(x + at, x_MK.stride(0), cell.rows, std::min(kInnerPart, part - at),
                        packed.data() + at * kTile, y + cell.row * grid.columns + cell.column, grid.columns,
                        from + at > 0);
      });
    release_tiles();
  });
}

void add_transposed_product(const at::Tensor& a_MI, const at::Tensor& x_MJ, at::Tensor& sums_IJ) {
  const auto inner = a_MI.size(0), padded = (inner + 1) / 2 * 2;
  const Grid grid{sums_IJ.size(0), sums_IJ.size(1)};
  const auto blocks = (grid.columns + kTile - 1) / kTile;
  const auto packed = at::empty({blocks, padded * kTile}, x_MJ.options());
  BFloat16* packed_blocks = packed.mutable_data_ptr<BFloat16>();
  at::parallel_for(0, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const auto column = block * kTile;
      const PackTask task{x_MJ.const_data_ptr<BFloat16>(),
                          x_MJ.stride(0),
                          WeightLayout::kInputsByOutputs,
                          column,
                          std::min(kTile, grid.columns - column),
                          0,
                          inner};
      HWY_DYNAMIC_DISPATCH(pack_block)(task, packed_blocks + block * padded * kTile);
    }
  });
  float* sums = sums_IJ.mutable_data_ptr<float>();
  at::parallel_for(0, grid.groups(), 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<BFloat16> rows_of_a(static_cast<std::size_t>(kGroupRows * padded));
    for (std::int64_t group = begin; group < end; ++group) {
      const auto row = group * kGroupRows, rows = std::min(kGroupRows, grid.rows - row);
      HWY_DYNAMIC_DISPATCH(transpose_rows)
      (a_MI.const_data_ptr<BFloat16>() + row, a_MI.stride(0), inner, rows, rows_of_a.data(), padded);
      for (std::int64_t block = 0; block < blocks; ++block)
        for (std::int64_t at = 0; at < padded; at += kInnerPart)
          multiply_rows(rows_of_a.data() + at, padded, rows, std::min(kInnerPart, padded - at),
                        packed_blocks + block * padded * kTile + at * kTile,
                        sums + row * grid.columns + block * kTile, grid.columns, /*accumulate=*/true);
    }
    release_tiles();
  });
}

}  // namespace anneal
#endif  // HWY_ONCE
