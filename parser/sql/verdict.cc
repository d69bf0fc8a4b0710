#include "parser/sql/verdict.h"

#include <array>
#include <cstddef>

namespace waypost {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Reason::kCount)> kReasonNames = {
    "read_safe",
    "read_only_transaction",
    "write",
    "ddl",
    "lock_clause",
    "modifying_cte",
    "select_into",
    "volatile_function",
    "unknown_function",
    "server_local",
    "pinned_relation",
    "not_understood",
    "unknown_relation",
    "session",
    "transaction",
    "serializable",
    "multi_statement",
    "parse_error",
    "unknown_syntax",
    "too_large",
    "no_catalog",
    "taught",
    "in_transaction",
    "session_pinned",
    "open_ended",
    "protocol",
    "no_eligible_replica",
    "replica_behind",
    "consistency_primary",
    "rule",
    "hint",
    "primary_share",
    "rerun",
    "self_check",
    "session_mode",
    "refused",
};
static_assert(!kReasonNames.back().empty(), "every Reason needs a name");

constexpr std::array<std::string_view, 4> kClassNames = {"read", "write", "session", "transaction"};

constexpr std::array<std::string_view, static_cast<std::size_t>(PinReason::kCount)> kPinNames = {
    "none", "temporary_table", "listen",   "hold_cursor",  "advisory_lock", "sql_prepare",
    "load", "sequence_value",  "set_seed", "session_mode", "unknown_state",
};
static_assert(!kPinNames.back().empty(), "every PinReason needs a name");

// The name of one enumerator; "invalid" for a value outside the enum, which only a bug of ours can
// make.
template <std::size_t N, class Enum>
std::string_view NameOf(const std::array<std::string_view, N>& names, Enum value) {
  const auto index = static_cast<std::size_t>(value);
  return index < N ? names[index] : "invalid";
}

}  // namespace

std::string_view ReasonName(Reason reason) { return NameOf(kReasonNames, reason); }
std::string_view ClassName(Class cls) { return NameOf(kClassNames, cls); }
std::string_view PinReasonName(PinReason reason) { return NameOf(kPinNames, reason); }

}  // namespace waypost
