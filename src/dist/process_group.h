// Ranks that work together, over c10d: Gloo between CPUs, NCCL between GPUs. A group of one needs neither;
// its operations do nothing, so that no caller asks how many there are. All ranks call the same operations in
// the same order. A lost peer is a UserError(kDistributed) that says where this rank stood.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace c10d {
class Backend;
class Work;
}  // namespace c10d

namespace anneal {

// An operation that has begun. Its tensors must live, and stay as they are, until wait() has returned.
class Pending {
 public:
  Pending();
  Pending(c10::intrusive_ptr<c10d::Work> work, std::function<void()> finish);
  Pending(Pending&&) noexcept;
  Pending& operator=(Pending&&) noexcept;
  ~Pending();
  void wait();  // the second call does nothing

 private:
  c10::intrusive_ptr<c10d::Work> work_;
  std::function<void()> finish_;
};

class ProcessGroup {
 public:
  ProcessGroup();  // of one
  ProcessGroup(c10::intrusive_ptr<c10d::Backend> backend, int rank, int size);
  ~ProcessGroup();
  ProcessGroup(ProcessGroup&&) noexcept;
  ProcessGroup& operator=(ProcessGroup&&) noexcept;

  // For tensors of GPUs, which the backend given first does not take.
  void add_gpu_backend(c10::intrusive_ptr<c10d::Backend> backend);

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_root() const { return rank_ == 0; }

  // whole [size * P] = the parts [P] of all ranks, in the order of ranks.
  Pending all_gather(const at::Tensor& part, at::Tensor& whole);
  // part [P] = this rank's part of the sum over ranks of whole [size * P]; summed in the order of ranks.
  Pending reduce_scatter(const at::Tensor& whole, at::Tensor& part);
  void all_reduce_sum(at::Tensor& tensor);  // the same bits on every rank

  double sum(double value);
  bool any(bool value);
  std::vector<std::string> all_gather_text(const std::string& text);  // by rank
  std::string broadcast_text(const std::string& text);                // the root's
  void barrier();

  // Calls work() on every rank (on the root alone); what one of them throws, every rank throws.
  void on_all(const std::function<void()>& work);
  void on_root(const std::function<void()>& work);

  // Bytes that this rank has sent, by the algorithms of rings: what NCCL and Gloo send at the least.
  std::int64_t bytes_sent() const { return bytes_sent_; }

 private:
  void count(std::int64_t part_bytes) { bytes_sent_ += part_bytes * (size_ - 1); }

  c10d::Backend& backend_of(const at::Tensor& tensor) const;

  c10::intrusive_ptr<c10d::Backend> backend_, gpu_backend_;
  int rank_ = 0, size_ = 1;
  bool sums_on_arrival_ = false;  // reduce-scatter is an exchange of parts, summed here
  std::int64_t bytes_sent_ = 0;
};

}  // namespace anneal
