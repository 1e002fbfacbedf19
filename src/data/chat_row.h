// A chat of a dataset in the one form that training reads, whichever form the dataset has it in.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"

namespace anneal {

struct ChatDefect {
  std::string reason;
};

// {"messages": [{"role", "content", ...}]} and "tools", where there are any, of the JSON texts of the columns
// that hold them (empty: null or missing). Messages may be in the form of ShareGPT, [{"from", "value"}]. Null
// values of messages go, tools may be a text that holds JSON, and so may the arguments of a call: templates
// want objects. Null where there is no message. Throws ChatDefect.
OrderedJson chat_row(std::string_view messages, std::string_view tools);

bool has_assistant_turn(const OrderedJson& row);

}  // namespace anneal
