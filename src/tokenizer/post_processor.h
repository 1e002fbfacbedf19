// What the post-processor of a tokenizer.json puts around a single sequence.
#pragma once
#include <cstdint>
#include <vector>

#include "tokenizer/component.h"

namespace anneal {

struct PostProcessor {
  PostProcessor() = default;
  explicit PostProcessor(const Component& component);  // throws UserError(kModel) on what is not supported

  std::vector<std::int32_t> leading, trailing;

 private:
  void add(const Component& component);
  void add_template(const Component& component);
  bool has_template_ = false;
};

}  // namespace anneal
