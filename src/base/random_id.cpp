#include "base/random_id.h"

#include <random>

#include "base/file.h"

namespace anneal {

std::string random_id() {
  std::random_device device;
  std::string bytes;
  for (int word = 0; word < 8; ++word) bytes += std::to_string(device()) + " ";
  return sha256_hex(bytes).substr(0, 32);
}

}  // namespace anneal
