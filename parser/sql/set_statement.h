// The text of a SET. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace waypost {

// "SET name TO ", or SET LOCAL, with the name quoted where it must be.
[[nodiscard]] std::string SetHead(std::string_view name, bool local);

// A string constant that reads the same whatever standard_conforming_strings is on the connection.
void AppendSetLiteral(std::string_view text, std::string& out);

// A statement that sets `name`, in lower case, to `value` as set_config() would: a list (search_path) is one text there,
// and several names in a SET. Empty if it cannot be written as a SET. It takes no snapshot, as a SELECT would.
[[nodiscard]] std::string SetStatement(std::string_view name, std::string_view value, bool local);

// The same for the session, and empty too where SHOW would not give back `value` as it is: a list by SET is parted by ", ".
[[nodiscard]] std::string SetStatementShownAs(std::string_view name, std::string_view value);

// The value in `sql`, which SetStatement() or the analysis of a SET has written for `name`; nothing if it is a list, or of another
// form.
[[nodiscard]] std::optional<std::string> ValueSet(std::string_view name, std::string_view sql);

// 'on', 1, true ...: as parse_bool() of PostgreSQL takes it, which also takes unique prefixes. Nothing: it would be refused.
[[nodiscard]] std::optional<bool> ParseBool(std::string_view text);

}  // namespace waypost
