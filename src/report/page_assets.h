// page.css and page.js, as texts.
#pragma once

namespace anneal {

extern const char* const kPageStyle;
extern const char* const kPageScript;

}  // namespace anneal
