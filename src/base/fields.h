// The one list of a component's options. A struct names its fields once in
//   static void fields(auto& self, auto field) { field("name", self.member, "Help.", FieldTraits{...}); }
// and flags, JSON keys, --help and docs/config_reference.md all come from that list.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/error.h"

namespace anneal {

struct FieldTraits {
  std::vector<std::string_view> choices;  // of a string field; empty: any text
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool exclusive_minimum = false;
  bool exclusive_maximum = false;
  bool json_text = false;         // a string field that holds JSON; --config may give the value itself
  bool may_differ = false;        // when a run is resumed: it does not shape the training
  bool positional = false;        // arguments that are no flags belong to it; one field of a command at most
  std::string_view heading = {};  // of --help, from this field of a group on
};

// Calls visit(name, value, help, traits) for every field of `options`, in declaration order.
// A field whose type has a `fields` list of its own is a group: its fields are visited in its place. Its help
// is their heading, for a visitor that has enter(heading) and leave().
template <class Options, class Visit>
void for_each_field(Options& options, Visit& visit) {
  std::remove_const_t<Options>::fields(options, [&](std::string_view name, auto& value, std::string_view help,
                                                    const FieldTraits& traits = {}) {
    using Value = std::remove_cvref_t<decltype(value)>;
    if constexpr (requires(Value & nested) { Value::fields(nested, [](auto&&...) {}); }) {
      if constexpr (requires { visit.enter(help); }) visit.enter(help);
      for_each_field(value, visit);
      if constexpr (requires { visit.leave(); }) visit.leave();
    } else {
      visit(name, value, help, traits);
    }
  });
}

}  // namespace anneal
