// The decoder of a tokenizer.json: vocabulary strings back to text.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tokenizer/component.h"

namespace anneal {

class DecoderStep {
 public:
  virtual ~DecoderStep() = default;
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

class Decoder {
 public:
  Decoder() = default;
  explicit Decoder(const Component& component);  // throws UserError(kModel) on what is not supported
  std::string decode(std::vector<std::string> tokens) const;

 private:
  void add(const Component& component);
  bool is_null_ = true;  // tokens are joined by spaces
  std::vector<std::unique_ptr<DecoderStep>> steps_;
};

// Valid UTF-8: each ill-formed part (Unicode 3.9, "maximal subpart") becomes U+FFFD.
std::string repair_utf8(std::string_view bytes);

}  // namespace anneal
