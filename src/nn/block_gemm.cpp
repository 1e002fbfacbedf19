#include "nn/block_gemm.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
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

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

// Four rows of eight elements, as pairs: a whole vector of each row on the smallest of SIMD targets.
constexpr std::int64_t kRows = 4, kInner = 8;

#if HWY_TARGET == HWY_SCALAR
HWY_INLINE void transpose_words(const BFloat16* from, std::int64_t stride, std::uint32_t* to) {
  for (std::int64_t row = 0; row < kRows; ++row)
    for (std::int64_t pair = 0; pair < kInner / 2; ++pair)
      std::memcpy(to + pair * kTile + row, from + row * stride + 2 * pair, sizeof(std::uint32_t));
}
#else
using Words = hn::Full128<std::uint32_t>;  // of two elements each

// Four rows of four pairs become four pairs of four rows.
HWY_INLINE void transpose_words(const BFloat16* from, std::int64_t stride, std::uint32_t* to) {
  const Words words;
  const hn::Full128<std::uint64_t> twice;
  const auto row = [&](std::int64_t index) HWY_ATTR {
    return hn::LoadU(words, reinterpret_cast<const std::uint32_t*>(from + index * stride));
  };
  const auto a = row(0), b = row(1), c = row(2), d = row(3);
  const auto low_ab = hn::BitCast(twice, hn::InterleaveLower(words, a, b));
  const auto low_cd = hn::BitCast(twice, hn::InterleaveLower(words, c, d));
  const auto high_ab = hn::BitCast(twice, hn::InterleaveUpper(words, a, b));
  const auto high_cd = hn::BitCast(twice, hn::InterleaveUpper(words, c, d));
  const auto put = [&](auto value, std::int64_t pair)
                       HWY_ATTR { hn::StoreU(hn::BitCast(words, value), words, to + pair * kTile); };
  put(hn::InterleaveLower(twice, low_ab, low_cd), 0);
  put(hn::InterleaveUpper(twice, low_ab, low_cd), 1);
  put(hn::InterleaveLower(twice, high_ab, high_cd), 2);
  put(hn::InterleaveUpper(twice, high_ab, high_cd), 3);
}
#endif

void pack_outputs(const PackTask& task, BFloat16* packed) {
  const auto whole_rows = task.columns / kRows * kRows, whole_inner = task.inner / kInner * kInner;
  const BFloat16* rows = task.weight + task.column * task.stride + task.from;
  for (std::int64_t n = 0; n < whole_rows; n += kRows)
    for (std::int64_t k = 0; k < whole_inner; k += kInner)
      transpose_words(rows + n * task.stride + k, task.stride,
                      reinterpret_cast<std::uint32_t*>(packed) + k / 2 * kTile + n);
  for (std::int64_t n = 0; n < task.columns; ++n)
    for (std::int64_t k = n < whole_rows ? whole_inner : 0; k < task.inner; ++k)
      packed[packed_index<BFloat16>(k, n, kTile)] = rows[n * task.stride + k];
}

void pack_inputs(const PackTask& task, BFloat16* packed) {
  const hn::RebindToUnsigned<FloatTag> u32;
  const hn::Rebind<std::uint16_t, FloatTag> u16;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(u32));
  const auto whole = task.columns / lanes * lanes;
  for (std::int64_t k = 0; k < task.inner; k += 2) {
    const BFloat16* even = task.weight + (task.from + k) * task.stride + task.column;
    const BFloat16* odd = even + task.stride;
    const auto load_words = [&](const BFloat16* from) HWY_ATTR {
      return hn::PromoteTo(u32, hn::LoadU(u16, reinterpret_cast<const std::uint16_t*>(from)));
    };
    BFloat16* to = packed + k * kTile;
    for (std::int64_t n = 0; n < whole; n += lanes)
      hn::StoreU(hn::Or(load_words(even + n), hn::ShiftLeft<16>(load_words(odd + n))), u32,
                 reinterpret_cast<std::uint32_t*>(to) + n);
    for (std::int64_t n = whole; n < task.columns; ++n) {
      to[2 * n] = even[n];
      to[2 * n + 1] = odd[n];
    }
  }
}

// Columns that the weight does not have are zero.
void pack_block(const PackTask& task, BFloat16* packed) {
  if (task.columns < kTile) std::fill_n(packed, task.inner * kTile, BFloat16(0));
  if (task.layout == WeightLayout::kOutputsByInputs)
    pack_outputs(task, packed);
  else
    pack_inputs(task, packed);
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
         runs_kernels(x_MK) && has_fast_tile_gemm<BFloat16>();
}

bool takes_long_gemm(const at::Tensor& x_MK, const at::Tensor& weight_KN) {
  return takes_block_gemm(x_MK) && weight_KN.size(1) % kTile == 0;
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

}  // namespace anneal
#endif  // HWY_ONCE
