// The options of processes that work together. Free of torch.
#pragma once
#include <cstdint>

#include "base/fields.h"

namespace anneal {

struct DistOptions {
  std::int64_t rendezvous_timeout = 600;
  std::int64_t heartbeat_timeout = 15;
  std::int64_t collective_timeout = 1800;

  static void fields(auto& c, auto field) {
    const FieldTraits seconds{.minimum = 1, .may_differ = true};
    field("rendezvous_timeout", c.rendezvous_timeout,
          "Seconds in which all processes have to be there at the start.", seconds);
    field("heartbeat_timeout", c.heartbeat_timeout,
          "A process that has given no sign of life for so many seconds is lost: the others end.", seconds);
    field("collective_timeout", c.collective_timeout,
          "A process that has made no progress for so many seconds ends, and says where it stood; before the "
          "first step four times as many.",
          seconds);
  }
};

}  // namespace anneal
