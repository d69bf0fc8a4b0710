// The labels of all metrics and their values. A label is a small fixed set, so that a series is an
// index and not a string. Whoever makes the exporter names what is not listed here (targets,
// reasons, pins, servers, rules). Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace waypost {

enum class Would : std::uint8_t { kReplica, kPrimary };
enum class QueryKind : std::uint8_t { kSimple, kExtended };
enum class ClientState : std::uint8_t { kActive, kIdle, kIdleInTransaction, kWaiting };
enum class ClientOutcome : std::uint8_t { kOk, kAuthFailed, kLimit, kProtocolError, kTimeout, kServerError };
enum class ServerConnState : std::uint8_t { kActive, kIdle, kConnecting };
enum class ConnectOutcome : std::uint8_t { kOk, kRefused, kTimeout, kAuthFailed, kServerError, kProtocolError };
enum class DisconnectCause : std::uint8_t {
  kIdleTimeout,
  kLifetime,
  kServerClosed,
  kIoError,
  kUnclean,
  kClientGone,
  kRemoved,
  kEvicted,
  kOutdated
};
enum class FallbackCause : std::uint8_t { kNoEligibleReplica, kReplicaBehind };
enum class RetryCause : std::uint8_t { kConnectionLost, kReadOnlyError, kRecoveryConflict, kPlanChanged, kOtherError };
enum class Side : std::uint8_t { kClient, kServer };
enum class Direction : std::uint8_t { kIn, kOut };
enum class ErrorOrigin : std::uint8_t { kProxy, kServer };
enum class CancelOutcome : std::uint8_t { kSent, kIdle, kUnknownKey };
enum class TransactionMode : std::uint8_t { kReadWrite, kReadOnly };
enum class TransactionOutcome : std::uint8_t { kCommit, kRollback };
enum class HoldOutcome : std::uint8_t { kWentOn, kGaveUp, kRefused };
enum class ProbeResult : std::uint8_t { kOk, kTimeout, kRefused, kStarting, kConnectError, kQueryError };
enum class FenceOutcome : std::uint8_t { kConfirmed, kReady, kWaited, kFellBack, kGaveUp };
enum class SettleOutcome : std::uint8_t { kAtOnce, kNothingShown, kWaited, kGaveUp };
enum class FenceProbeOutcome : std::uint8_t { kOk, kFailed };
enum class SelfCheckOutcome : std::uint8_t { kSame, kStale, kChanged, kUnsteady, kTooLong, kError, kElsewhere, kFailed };
enum class TlsOutcome : std::uint8_t { kOk, kFailed };

// Every label a metric of metrics.def may have.
enum class Label : std::uint8_t {
  kNone,
  kTarget,
  kReason,
  kPin,
  kServer,
  kRule,  // kTarget .. kRule are named at run time
  kWould,
  kQueryKind,
  kClientState,
  kClientOutcome,
  kServerConnState,
  kConnectOutcome,
  kDisconnectCause,
  kFallbackCause,
  kRetryCause,
  kSide,
  kDirection,
  kErrorOrigin,
  kSqlStateClass,
  kCancelOutcome,
  kTransactionMode,
  kTransactionOutcome,
  kHoldOutcome,
  kProbeResult,
  kFenceOutcome,
  kSettleOutcome,
  kFenceProbeOutcome,
  kSelfCheckOutcome,
  kTlsOutcome,
  kCount
};

inline constexpr std::size_t kMaxServers = 64;  // ServerIds at or above are not counted
inline constexpr std::size_t kMaxRuleNames = 256;  // of all reloads together
inline constexpr std::size_t kMaxTargets = 4;
inline constexpr std::size_t kMaxReasons = 48;
inline constexpr std::size_t kMaxPins = 16;

namespace label_values {
inline constexpr auto kWould = std::to_array<std::string_view>({"replica", "primary"});
inline constexpr auto kQueryKind = std::to_array<std::string_view>({"simple", "extended"});
inline constexpr auto kClientState = std::to_array<std::string_view>({"active", "idle", "idle_in_transaction", "waiting"});
inline constexpr auto kClientOutcome =
    std::to_array<std::string_view>({"ok", "auth_failed", "limit", "protocol_error", "timeout", "server_error"});
inline constexpr auto kServerConnState = std::to_array<std::string_view>({"active", "idle", "connecting"});
inline constexpr auto kConnectOutcome =
    std::to_array<std::string_view>({"ok", "refused", "timeout", "auth_failed", "server_error", "protocol_error"});
inline constexpr auto kDisconnectCause = std::to_array<std::string_view>(
    {"idle_timeout", "lifetime", "server_closed", "io_error", "unclean", "client_gone", "removed", "evicted", "outdated"});
inline constexpr auto kFallbackCause = std::to_array<std::string_view>({"no_eligible_replica", "replica_behind"});
inline constexpr auto kRetryCause =
    std::to_array<std::string_view>({"connection_lost", "read_only_error", "recovery_conflict", "plan_changed", "other_error"});
inline constexpr auto kSide = std::to_array<std::string_view>({"client", "server"});
inline constexpr auto kDirection = std::to_array<std::string_view>({"in", "out"});
inline constexpr auto kErrorOrigin = std::to_array<std::string_view>({"proxy", "server"});
// PostgreSQL, Appendix A. Every other class counts as "other".
inline constexpr auto kSqlStateClass =
    std::to_array<std::string_view>({"01", "02", "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "20", "21",   "22", "23",
                                     "24", "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D",   "3F", "40",
                                     "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX", "other"});
inline constexpr auto kCancelOutcome = std::to_array<std::string_view>({"sent", "idle", "unknown_key"});
inline constexpr auto kTransactionMode = std::to_array<std::string_view>({"rw", "ro"});
inline constexpr auto kTransactionOutcome = std::to_array<std::string_view>({"commit", "rollback"});
inline constexpr auto kHoldOutcome = std::to_array<std::string_view>({"went_on", "gave_up", "refused"});
inline constexpr auto kProbeResult =
    std::to_array<std::string_view>({"ok", "timeout", "refused", "starting", "connect_error", "query_error"});
inline constexpr auto kFenceOutcome = std::to_array<std::string_view>({"confirmed", "ready", "waited", "fell_back", "gave_up"});
inline constexpr auto kSettleOutcome = std::to_array<std::string_view>({"at_once", "nothing_shown", "waited", "gave_up"});
inline constexpr auto kFenceProbeOutcome = std::to_array<std::string_view>({"ok", "failed"});
inline constexpr auto kTlsOutcome = std::to_array<std::string_view>({"ok", "failed"});
inline constexpr auto kSelfCheckOutcome =
    std::to_array<std::string_view>({"same", "stale", "changed", "unsteady", "too_long", "error", "elsewhere", "failed"});
}  // namespace label_values

struct LabelInfo {
  std::string_view name;
  std::size_t capacity;                      // values at most; 1 for kNone
  std::span<const std::string_view> values;  // empty: named at run time
};

[[nodiscard]] constexpr LabelInfo InfoOf(Label label) {
  namespace v = label_values;
  switch (label) {
    case Label::kNone:
    case Label::kCount: return {"", 1, {}};
    case Label::kTarget: return {"target", kMaxTargets, {}};
    case Label::kReason: return {"reason", kMaxReasons, {}};
    case Label::kPin: return {"reason", kMaxPins, {}};
    case Label::kServer: return {"server", kMaxServers, {}};
    case Label::kRule: return {"rule", kMaxRuleNames, {}};
    case Label::kWould: return {"would", v::kWould.size(), v::kWould};
    case Label::kQueryKind: return {"kind", v::kQueryKind.size(), v::kQueryKind};
    case Label::kClientState: return {"state", v::kClientState.size(), v::kClientState};
    case Label::kClientOutcome: return {"outcome", v::kClientOutcome.size(), v::kClientOutcome};
    case Label::kServerConnState: return {"state", v::kServerConnState.size(), v::kServerConnState};
    case Label::kConnectOutcome: return {"outcome", v::kConnectOutcome.size(), v::kConnectOutcome};
    case Label::kDisconnectCause: return {"cause", v::kDisconnectCause.size(), v::kDisconnectCause};
    case Label::kFallbackCause: return {"cause", v::kFallbackCause.size(), v::kFallbackCause};
    case Label::kRetryCause: return {"cause", v::kRetryCause.size(), v::kRetryCause};
    case Label::kSide: return {"side", v::kSide.size(), v::kSide};
    case Label::kDirection: return {"direction", v::kDirection.size(), v::kDirection};
    case Label::kErrorOrigin: return {"origin", v::kErrorOrigin.size(), v::kErrorOrigin};
    case Label::kSqlStateClass: return {"sqlstate_class", v::kSqlStateClass.size(), v::kSqlStateClass};
    case Label::kCancelOutcome: return {"outcome", v::kCancelOutcome.size(), v::kCancelOutcome};
    case Label::kTransactionMode: return {"mode", v::kTransactionMode.size(), v::kTransactionMode};
    case Label::kTransactionOutcome: return {"outcome", v::kTransactionOutcome.size(), v::kTransactionOutcome};
    case Label::kHoldOutcome: return {"outcome", v::kHoldOutcome.size(), v::kHoldOutcome};
    case Label::kProbeResult: return {"result", v::kProbeResult.size(), v::kProbeResult};
    case Label::kFenceOutcome: return {"outcome", v::kFenceOutcome.size(), v::kFenceOutcome};
    case Label::kSettleOutcome: return {"outcome", v::kSettleOutcome.size(), v::kSettleOutcome};
    case Label::kFenceProbeOutcome: return {"outcome", v::kFenceProbeOutcome.size(), v::kFenceProbeOutcome};
    case Label::kTlsOutcome: return {"outcome", v::kTlsOutcome.size(), v::kTlsOutcome};
    case Label::kSelfCheckOutcome: return {"outcome", v::kSelfCheckOutcome.size(), v::kSelfCheckOutcome};
  }
  return {"", 1, {}};
}

// The index of a SQLSTATE's class ("42P01" -> that of "42"); that of "other" if it is none of
// PostgreSQL's.
[[nodiscard]] constexpr std::size_t SqlStateClassIndex(std::string_view sqlstate) {
  const auto& classes = label_values::kSqlStateClass;
  for (std::size_t i = 0; i + 1 < classes.size(); ++i)
    if (sqlstate.substr(0, 2) == classes[i]) return i;
  return classes.size() - 1;
}

}  // namespace waypost
