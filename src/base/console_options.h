// What every command's words on the terminal go by.
#pragma once
#include <string>

#include "base/fields.h"

namespace anneal {

struct ConsoleOptions {
  bool quiet = false;
  std::string log_format = "text";

  static void fields(auto& c, auto field) {
    const FieldTraits free{.may_differ = true};
    field("quiet", c.quiet, "Say warnings and errors alone; results are written all the same.", free);
    field("log_format", c.log_format,
          "How lines are said; json: one object a line, with \"time\", \"level\" and \"message\", and the "
          "figures of "
          "log.jsonl as they are.",
          FieldTraits{.choices = {"text", "json"}, .may_differ = true});
  }
};

}  // namespace anneal
