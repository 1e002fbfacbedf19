#include "dist/process_group.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "base/activity.h"
#include "base/error.h"
#include "base/json.h"

namespace anneal {
namespace {

[[noreturn]] void fail_lost(const std::exception& error) {
  const std::string text = error.what();
  const auto end = std::min(text.find('\n'), text.find(". This is typically"));  // what Gloo guesses follows
  fail(ExitCode::kDistributed, "lost another rank: " + text.substr(0, end), activity_text(current_activity()),
       "look at that rank's own message; the same command goes on from the newest state");
}

template <class Call>
auto translated(const Call& call) {
  try {
    return call();
  } catch (const UserError&) {
    throw;
  } catch (const std::exception& error) {  // c10::Error and Gloo's own
    fail_lost(error);
  }
}

std::string text_of(const UserError& error) {
  Json problems = Json::array();
  for (const auto& [problem, where, remedy] : error.problems()) problems.push_back({problem, where, remedy});
  return Json({{"code", static_cast<int>(error.code())}, {"problems", problems}})
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

UserError error_of(const std::string& text) {
  const Json json = Json::parse(text);
  std::vector<Problem> problems;
  for (const auto& problem : json["problems"]) problems.push_back({problem[0], problem[1], problem[2]});
  return UserError(static_cast<ExitCode>(json["code"].get<int>()), problems);
}

}  // namespace

Pending::Pending() = default;
Pending::Pending(c10::intrusive_ptr<c10d::Work> work, std::function<void()> finish)
    : work_(std::move(work)), finish_(std::move(finish)) {}
Pending::Pending(Pending&&) noexcept = default;
Pending& Pending::operator=(Pending&&) noexcept = default;
Pending::~Pending() = default;

void Pending::wait() {
  if (!work_) return;
  const auto work = std::exchange(work_, {});
  translated([&] { work->wait(); });
  if (const auto finish = std::exchange(finish_, nullptr)) finish();
}

ProcessGroup::ProcessGroup() = default;
ProcessGroup::~ProcessGroup() = default;
ProcessGroup::ProcessGroup(ProcessGroup&&) noexcept = default;
ProcessGroup& ProcessGroup::operator=(ProcessGroup&&) noexcept = default;

ProcessGroup::ProcessGroup(c10::intrusive_ptr<c10d::Backend> backend, int rank, int size)
    : backend_(std::move(backend)),
      rank_(rank),
      size_(size),
      sums_on_arrival_(backend_->getBackendName() == "gloo") {}

void ProcessGroup::add_gpu_backend(c10::intrusive_ptr<c10d::Backend> backend) {
  gpu_backend_ = std::move(backend);
}

c10d::Backend& ProcessGroup::backend_of(const at::Tensor& tensor) const {
  return tensor.is_cuda() && gpu_backend_ ? *gpu_backend_ : *backend_;
}

Pending ProcessGroup::all_gather(const at::Tensor& part, at::Tensor& whole) {
  TORCH_CHECK(whole.numel() == part.numel() * size_);
  if (size_ == 1) {
    whole.copy_(part);
    return {};
  }
  count(static_cast<std::int64_t>(part.nbytes()));
  auto from = part;
  return {translated([&] { return backend_of(whole)._allgather_base(whole, from); }), nullptr};
}

// Gloo's own sums all of it on every rank, which sends twice as much, and in an order that depends on the
// rank.
Pending ProcessGroup::reduce_scatter(const at::Tensor& whole, at::Tensor& part) {
  TORCH_CHECK(whole.numel() == part.numel() * size_);
  if (size_ == 1) {
    part.copy_(whole.view_as(part));
    return {};
  }
  count(static_cast<std::int64_t>(part.nbytes()));
  auto from = whole;
  if (whole.is_cuda() || !sums_on_arrival_)
    return {translated([&] { return backend_of(whole)._reduce_scatter_base(part, from); }), nullptr};
  auto parts = at::empty_like(whole);
  std::vector<std::int64_t> equal;
  const auto work = translated([&] { return backend_->alltoall_base(parts, from, equal, equal); });
  return {work, [parts, part, size = size_]() mutable {
            const auto by_rank = parts.view({size, -1});
            part.copy_(by_rank[0]);
            for (int rank = 1; rank < size; ++rank) part.add_(by_rank[rank]);
          }};
}

void ProcessGroup::all_reduce_sum(at::Tensor& tensor) {
  if (size_ == 1) return;
  bytes_sent_ += 2 * (size_ - 1) * static_cast<std::int64_t>(tensor.nbytes()) / size_;
  std::vector<at::Tensor> tensors{tensor};
  translated([&] { backend_of(tensor).allreduce(tensors)->wait(); });
}

double ProcessGroup::sum(double value) {
  auto tensor = at::full({1}, value, at::kDouble);
  all_reduce_sum(tensor);
  return tensor.item<double>();
}

bool ProcessGroup::any(bool value) { return sum(value ? 1 : 0) > 0; }

void ProcessGroup::barrier() { sum(0); }

std::vector<std::string> ProcessGroup::all_gather_text(const std::string& text) {
  if (size_ == 1) return {text};
  auto lengths = at::empty({size_}, at::kLong);
  all_gather(at::full({1}, static_cast<std::int64_t>(text.size()), at::kLong), lengths).wait();
  const auto* length = lengths.const_data_ptr<std::int64_t>();
  const auto longest = std::max<std::int64_t>(1, *std::max_element(length, length + size_));
  const auto own = at::zeros({longest}, at::kByte);
  std::memcpy(own.mutable_data_ptr(), text.data(), text.size());
  auto all = at::empty({size_ * longest}, at::kByte);
  all_gather(own, all).wait();
  std::vector<std::string> texts;
  for (int rank = 0; rank < size_; ++rank)
    texts.emplace_back(static_cast<const char*>(all.const_data_ptr()) + rank * longest, length[rank]);
  return texts;
}

std::string ProcessGroup::broadcast_text(const std::string& text) {
  return all_gather_text(is_root() ? text : "").front();
}

void ProcessGroup::on_all(const std::function<void()>& work) {
  if (size_ == 1) return work();
  std::string failure;
  try {
    work();
  } catch (const UserError& error) {
    if (error.code() == ExitCode::kDistributed) throw;  // there is nobody to tell
    failure = text_of(error);
  } catch (const std::exception& error) {
    failure = text_of(UserError(ExitCode::kResources,
                                {error.what(), "rank " + std::to_string(rank_), "check memory and disk"}));
  }
  for (const auto& text : all_gather_text(failure))
    if (!text.empty()) throw error_of(text);
}

void ProcessGroup::on_root(const std::function<void()>& work) {
  on_all([&] {
    if (is_root()) work();
  });
}

}  // namespace anneal
