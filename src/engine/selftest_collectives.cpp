#include "engine/selftest_collectives.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <exception>
#include <thread>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "device/cuda_object.h"

namespace anneal {
namespace {

// A sum over ranks and a gather, by hand numbers.
double collective_error(const c10::intrusive_ptr<c10d::Store>& store, int rank, int ranks) {
  constexpr std::int64_t kNumbers = 1000;
  const auto& table = *cuda_object().table;
  table.select(rank);
  const auto backend = table.make_nccl_backend(store, rank, ranks, std::chrono::seconds(30));
  const auto options =
      at::TensorOptions(at::Device(at::kCUDA, static_cast<at::DeviceIndex>(rank))).dtype(at::kFloat);
  std::vector<at::Tensor> summed{at::full({kNumbers}, rank + 1, options)};
  backend->allreduce(summed)->wait();
  auto part = at::full({kNumbers}, rank + 1, options), whole = at::empty({ranks, kNumbers}, options);
  backend->_allgather_base(whole, part)->wait();
  double error = (summed[0].cpu() - ranks * (ranks + 1) / 2).abs().max().item<double>();
  for (int other = 0; other < ranks; ++other)
    error = std::max(error, (whole[other].cpu() - (other + 1)).abs().max().item<double>());
  return error;
}

// Each rank a thread with a GPU of its own.
double nccl_error(int ranks) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<double> errors(ranks);
  std::vector<std::exception_ptr> problems(ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      try {
        errors[rank] = collective_error(store, rank, ranks);
      } catch (...) {
        problems[rank] = std::current_exception();
      }
    });
  for (auto& thread : threads) thread.join();
  for (const auto& problem : problems)
    if (problem) std::rethrow_exception(problem);
  return *std::max_element(errors.begin(), errors.end());
}

}  // namespace

void add_collective_checks(std::vector<SelfCheck>& checks) {
  checks.push_back({"NCCL, one rank", 0, [] { return nccl_error(1); }});
  if (cuda_object().devices > 1) checks.push_back({"NCCL, two ranks", 0, [] { return nccl_error(2); }});
}

}  // namespace anneal
