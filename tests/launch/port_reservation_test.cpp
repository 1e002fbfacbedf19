// Oracle: what the system lets other sockets do.
#include "launch/port_reservation.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/user_error.h"

namespace anneal {
namespace {

class Socket {
 public:
  explicit Socket(int family) : descriptor_(::socket(family, SOCK_STREAM, 0)) {}
  ~Socket() { ::close(descriptor_); }
  // As c10d's store does: on every address of this machine.
  bool listens_at(std::int64_t port) const {
    const int on = 1;
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_port = htons(static_cast<std::uint16_t>(port));
    return ::setsockopt(descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           ::bind(descriptor_, reinterpret_cast<sockaddr*>(&place), sizeof place) == 0 &&
           ::listen(descriptor_, 1) == 0;
  }

 private:
  int descriptor_;
};

TEST(PortReservation, OthersMayListenThereAgainAndAgain) {
  const PortReservation reservation(std::nullopt);
  ASSERT_GE(reservation.port(), 1);
  for (int attempt = 0; attempt < 2; ++attempt)
    EXPECT_TRUE(Socket(AF_INET).listens_at(reservation.port())) << "attempt " << attempt;
  EXPECT_NE(PortReservation(std::nullopt).port(), reservation.port());
}

TEST(PortReservation, APortThatIsInUse) {
  const Socket other(AF_INET);
  const auto port = [&] {
    const PortReservation reservation(std::nullopt);
    return reservation.port();
  }();
  ASSERT_TRUE(other.listens_at(port));
  expect_user_error(ExitCode::kDistributed, "--master_port: port " + std::to_string(port),
                    [&] { PortReservation{port}; });
}

}  // namespace
}  // namespace anneal
