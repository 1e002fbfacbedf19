// A TCP port of this machine that nobody else is given, for rank 0 to listen at.
#pragma once
#include <cstdint>
#include <optional>

namespace anneal {

class PortReservation {
 public:
  // `port`, or a free one. It is bound and not listened at: a process that sets SO_REUSEADDR, as c10d does,
  // may listen there, again and again, and the system gives it to no other. Throws UserError(kDistributed)
  // where it is taken.
  explicit PortReservation(std::optional<std::int64_t> port);
  ~PortReservation();
  PortReservation(const PortReservation&) = delete;
  PortReservation& operator=(const PortReservation&) = delete;

  std::int64_t port() const { return port_; }

 private:
  int socket_;
  std::int64_t port_ = 0;
};

}  // namespace anneal
