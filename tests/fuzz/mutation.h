// Random changes of inputs. The same seed makes the same inputs, as long as the same ones are found
// interesting.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/random.h"

namespace anneal {

class Mutator {
 public:
  static constexpr std::size_t kMaximumBytes = 64 << 10;

  Mutator(std::uint64_t seed, const std::vector<std::string>& words, bool is_json)
      : seed_(seed), words_(words), is_json_(is_json) {}

  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : splitmix64(mix(seed_, ++drawn_)) % limit; }

  std::string mutated(std::string text, const std::string& other) {
    if (is_json_ && below(4) != 0) {
      auto json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
      const auto donor = Json::parse(other, nullptr, /*allow_exceptions=*/false);
      if (!json.is_discarded()) return mutated_json(std::move(json), donor);
    }
    for (auto changes = 1 + below(6); changes > 0; --changes) change(text, other);
    if (text.size() > kMaximumBytes) text.resize(kMaximumBytes);
    return text;
  }

 private:
  void change(std::string& text, const std::string& other) {
    const auto at = below(text.size() + 1);
    const auto length = below(std::min<std::size_t>(text.size() - at, 1 + below(64)) + 1);
    switch (below(9)) {
      case 0:  // one bit
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:  // any byte
        text.insert(at, 1, static_cast<char>(below(256)));
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3:  // the rest from another input
        text = text.substr(0, at) + other.substr(below(other.size() + 1));
        break;
      case 4: {  // a piece of another input
        const auto from = below(other.size() + 1);
        text.insert(at, other.substr(from, below(64)));
        break;
      }
      case 5: {  // a piece again and again
        const auto piece = text.substr(at, length);
        for (auto times = below(4) == 0 ? below(300) : below(4); times > 0 && text.size() < kMaximumBytes;
             --times)
          text.insert(at, piece);
        break;
      }
      case 6:
        if (!words_.empty()) text.insert(at, words_[below(words_.size())]);
        break;
      case 7:
        if (!words_.empty()) text.replace(at, length, words_[below(words_.size())]);
        break;
      default:
        if (below(8) == 0) text.resize(at);
    }
  }

  std::string mutated_json(Json json, const Json& donor) {
    for (auto changes = 1 + below(3); changes > 0; --changes) change(some_value(json), donor);
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  // Any of all depths; the deeper, the rarer.
  template <class AnyJson>
  AnyJson& some_value(AnyJson& json) {
    auto* value = &json;
    while (value->is_structured() && !value->empty() && below(5) != 0)
      value = &*std::next(value->begin(), static_cast<std::ptrdiff_t>(below(value->size())));
    return *value;
  }

  void change(Json& value, const Json& donor) {
    switch (below(6)) {
      case 0:
        if (!donor.is_discarded()) value = some_value(donor);
        break;
      case 1:
        if (!words_.empty()) {
          auto word = Json::parse(words_[below(words_.size())], nullptr, false);
          value = word.is_discarded() ? Json(words_[below(words_.size())]) : std::move(word);
        }
        break;
      case 2:
        if (value.is_structured() && !value.empty())
          value.erase(std::next(value.begin(), static_cast<std::ptrdiff_t>(below(value.size()))));
        break;
      case 3:
        if (value.is_array()) value.push_back(some_value(value));
        if (value.is_object()) value["type"] = some_value(donor);
        break;
      case 4:
        if (value.is_number_integer()) value = static_cast<std::int64_t>(below(600)) - 10;
        if (value.is_boolean()) value = !value.get<bool>();
        break;
      default:
        if (value.is_string()) {
          auto text = value.get<std::string>();
          change(text, text);
          value = text;
        }
    }
  }

  std::uint64_t seed_;
  std::uint64_t drawn_ = 0;
  const std::vector<std::string>& words_;
  bool is_json_;
};

}  // namespace anneal
