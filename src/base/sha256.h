// SHA-256, as 64 lower-case hex digits.
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace anneal {

// Of bytes that come piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(std::string_view bytes);
  std::string hex();  // once, last

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view bytes);

}  // namespace anneal
