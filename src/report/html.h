// Text that becomes part of a page: nothing of it can become markup or script.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace anneal {

// For the content of elements and for attributes in double quotes. Control characters become U+FFFD.
std::string escaped(std::string_view text);

// JSON for the content of a <script>: it cannot end it.
std::string script_json(const Json& value);

// "'sha256-...'": what a Content-Security-Policy calls an inline script by.
std::string script_hash(std::string_view script);

// A table; cells are markup. `numeric`: columns from the second on are numbers.
std::string table_html(const std::vector<std::string>& head,
                       const std::vector<std::vector<std::string>>& rows, bool numeric);

}  // namespace anneal
