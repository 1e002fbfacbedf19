// The normalizer of a tokenizer.json: text to text, before words are cut.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tokenizer/component.h"

namespace anneal {

// A stretch of the text between added tokens.
struct Segment {
  std::string text;
  bool at_start = true;       // its first character is the first of what was given to the tokenizer
  bool continuation = false;  // it continues earlier text: nothing may be put before it
};

class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  virtual void apply(Segment& segment) const = 0;
};

class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(const Component& component);  // throws UserError(kModel) on what is not supported
  void apply(Segment& segment) const;
  bool empty() const { return steps_.empty(); }

 private:
  void add(const Component& component);
  std::vector<std::unique_ptr<NormalizerStep>> steps_;
};

}  // namespace anneal
