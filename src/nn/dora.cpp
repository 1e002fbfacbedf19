#include "nn/dora.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/error.h"
#include "nn/element_type.h"
#include "nn/plain_forms.h"

#ifndef ANNEAL_NN_DORA_ARGUMENTS  // this file is compiled once for each SIMD target
#define ANNEAL_NN_DORA_ARGUMENTS
namespace anneal {
namespace {

struct Scaling {
  const at::Tensor &x, &factor;
  at::Tensor& y;
  bool accumulate;
};

struct Dots {
  const at::Tensor &a, &b;
  at::Tensor& sums;
};

constexpr std::int64_t kColumnsPerTask = 256;
constexpr std::int64_t kRowsPerSum = 64;  // float32 sums of many rows are taken in two stages

}  // namespace
}  // namespace anneal
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "nn/dora.cpp"
#include <hwy/foreach_target.h>

#include "nn/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace anneal::HWY_NAMESPACE {

void squares_of_rows(const at::Tensor& weight, at::Tensor& squares, std::int64_t begin, std::int64_t end) {
  dispatch_element_type(weight.scalar_type(), [&]<class T>(T*) HWY_ATTR {
    const auto width = weight.size(1);
    for (std::int64_t row = begin; row < end; ++row) {
      const T* from = weight.const_data_ptr<T>() + row * width;
      auto sum = hn::Zero(FloatTag());
      for_each_vector(width, [&](std::size_t at, std::size_t count) HWY_ATTR {
        const auto value = load(from + at, count);
        sum = hn::MulAdd(value, value, sum);
      });
      squares.mutable_data_ptr<float>()[row] = hn::GetLane(hn::SumOfLanes(FloatTag(), sum));
    }
  });
}

void scale_rows(const Scaling& s, std::int64_t begin, std::int64_t end) {
  dispatch_element_type(s.x.scalar_type(), [&]<class T>(T*) HWY_ATTR {
    const auto width = s.factor.numel();
    const float* factor = s.factor.const_data_ptr<float>();
    for (std::int64_t row = begin; row < end; ++row) {
      const T* x = s.x.const_data_ptr<T>() + row * width;
      T* y = s.y.mutable_data_ptr<T>() + row * width;
      for_each_vector(width, [&](std::size_t at, std::size_t count) HWY_ATTR {
        auto value = hn::Mul(load(x + at, count), load(factor + at, count));
        if (s.accumulate) value = hn::Add(value, load(y + at, count));
        store(value, y + at, count);
      });
    }
  });
}

void dots_of_columns(const Dots& d, std::int64_t begin, std::int64_t end) {
  dispatch_element_type(d.a.scalar_type(), [&]<class T>(T*) HWY_ATTR {
    const auto rows = d.a.size(0), width = d.a.size(1);
    float* total = d.sums.mutable_data_ptr<float>() + begin;
    alignas(64) float part[kColumnsPerTask];
    for (std::int64_t first = 0; first < rows; first += kRowsPerSum) {
      std::fill(part, part + (end - begin), 0.0f);
      for (std::int64_t row = first; row < std::min(rows, first + kRowsPerSum); ++row) {
        const T* a = d.a.const_data_ptr<T>() + row * width + begin;
        const T* b = d.b.const_data_ptr<T>() + row * width + begin;
        for_each_vector(end - begin, [&](std::size_t at, std::size_t count) HWY_ATTR {
          store(hn::MulAdd(load(a + at, count), load(b + at, count), load(part + at, count)), part + at,
                count);
        });
      }
      for_each_vector(end - begin, [&](std::size_t at, std::size_t count) HWY_ATTR {
        store(hn::Add(load(total + at, count), load(part + at, count)), total + at, count);
      });
    }
  });
}

}  // namespace anneal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace anneal {
namespace {

HWY_EXPORT(squares_of_rows);
HWY_EXPORT(scale_rows);
HWY_EXPORT(dots_of_columns);

constexpr std::int64_t kRowsPerTask = 16;

}  // namespace

at::Tensor row_squares(const at::Tensor& weight_OI) {
  if (!runs_kernel(Kernel::kDora, weight_OI)) return plain::row_squares(weight_OI);
  auto squares_O = at::empty({weight_OI.size(0)}, weight_OI.options().dtype(at::kFloat));
  const auto weight = weight_OI.contiguous();
  at::parallel_for(0, weight.size(0), kRowsPerTask, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(squares_of_rows)(weight, squares_O, begin, end);
  });
  return squares_O;
}

at::Tensor adapted_row_squares(const at::Tensor& weight_OI, const at::Tensor& weight_squares_O,
                               const at::Tensor& a_RI, const at::Tensor& b_OR, double scale) {
  const auto a = a_RI.to(at::kFloat), b = b_OR.to(at::kFloat);
  const auto across_OR = at::mm(weight_OI, a_RI.t()).to(at::kFloat);
  const auto along_OR = at::mm(b, at::mm(a, a.t()));
  return weight_squares_O + ((across_OR * 2 + along_OR * scale) * b).sum(1) * scale;
}

void require_directions(const at::Tensor& lengths_O, const at::Tensor& bounds_O, const std::string& module) {
  if (lengths_O.is_meta()) return;
  const auto vanished_O = lengths_O.le(bounds_O);
  if (!vanished_O.any().item<bool>()) return;
  const auto row = vanished_O.to(at::kInt).argmax().item<std::int64_t>();
  fail(ExitCode::kModel,
       "row " + std::to_string(row) +
           " is zero, the adapter's update included, and DoRA divides by its length",
       module + ".weight", "leave this module out of the adapter, or take LoRA without magnitudes");
}

void scale_columns(const at::Tensor& x_NO, const at::Tensor& factor_O, at::Tensor& y_NO, bool accumulate) {
  if (!runs_kernel(Kernel::kDora, x_NO)) return plain::scale_columns(x_NO, factor_O, y_NO, accumulate);
  const Scaling scaling{x_NO, factor_O, y_NO, accumulate};
  at::parallel_for(0, x_NO.size(0), kRowsPerTask, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(scale_rows)(scaling, begin, end);
  });
}

at::Tensor column_dots(const at::Tensor& a_NO, const at::Tensor& b_NO) {
  if (!runs_kernel(Kernel::kDora, a_NO)) return plain::column_dots(a_NO, b_NO);
  const auto columns = a_NO.size(1);
  auto sums_O = at::zeros({columns}, a_NO.options().dtype(at::kFloat));
  const Dots dots{a_NO, b_NO, sums_O};
  const auto tasks = (columns + kColumnsPerTask - 1) / kColumnsPerTask;
  at::parallel_for(0, tasks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto task = begin; task < end; ++task) HWY_DYNAMIC_DISPATCH(dots_of_columns)
    (dots, task * kColumnsPerTask, std::min(columns, (task + 1) * kColumnsPerTask));
  });
  return sums_O;
}

namespace plain {

at::Tensor row_squares(const at::Tensor& weight_OI) {
  auto squares_O = at::empty({weight_OI.size(0)}, weight_OI.options().dtype(at::kFloat));
  constexpr std::int64_t kRows = 256;  // in float32 at a time
  for (std::int64_t begin = 0; begin < weight_OI.size(0); begin += kRows)
    squares_O.slice(0, begin, begin + kRows)
        .copy_(weight_OI.slice(0, begin, begin + kRows).to(at::kFloat).square().sum(1));
  return squares_O;
}

void scale_columns(const at::Tensor& x_NO, const at::Tensor& factor_O, at::Tensor& y_NO, bool accumulate) {
  const auto scaled_NO = x_NO * factor_O;  // float32: the wider of the two types
  y_NO.copy_(accumulate ? scaled_NO + y_NO : scaled_NO);
}

at::Tensor column_dots(const at::Tensor& a_NO, const at::Tensor& b_NO) {
  return (a_NO.to(at::kFloat) * b_NO).sum(0);
}

}  // namespace plain
}  // namespace anneal
#endif  // HWY_ONCE
