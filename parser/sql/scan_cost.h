// What the scanner of the grammar would take for a text, before it is asked. It reads each run of operator characters again
// for every operator and every comment that begins in it, so that the time grows as the square of the run. Pure.
// Source: xcstart, operator and their yyless() in src/backend/parser/scan.l
#pragma once

#include <string_view>

namespace waypost {

// False if scanning `sql` takes more than some milliseconds beyond what its length takes. A pass over the text, without
// allocation. Comments that are drawn with long lines of stars, dashes or equal signs pass.
[[nodiscard]] bool ScansInTime(std::string_view sql);

}  // namespace waypost
