#include "launch/port_reservation.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace anneal {

PortReservation::PortReservation(std::optional<std::int64_t> port)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const int on = 1;
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_addr.s_addr = htonl(INADDR_ANY);
  place.sin_port = htons(static_cast<std::uint16_t>(port.value_or(0)));
  socklen_t size = sizeof place;
  const auto address = reinterpret_cast<sockaddr*>(&place);
  const bool is_taken = ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                        ::bind(socket_, address, size) == 0 && ::getsockname(socket_, address, &size) == 0;
  if (is_taken) {
    port_ = ntohs(place.sin_port);
    return;
  }
  const int reason = errno;
  ::close(socket_);
  fail(ExitCode::kDistributed, fmt::format("port {}: {}", port.value_or(0), std::strerror(reason)),
       "--master_port", "give another port, the same on every machine");
}

PortReservation::~PortReservation() { ::close(socket_); }

}  // namespace anneal
