// What Waypost keeps for one client is bounded: a statement that would go past a limit is refused, and the session goes on.
// What one message can add is bounded by its length.
#include <algorithm>
#include <unordered_set>
#include <utility>

#include "core/session/session.h"
#include "parser/wire/encode.h"

namespace waypost {
namespace {

// What begins a series of changes copies what is set; so many bytes are copied for one batch.
constexpr std::size_t kMaxCopiedBytes = 16U << 20U;
// What is set again behind each RESET, for one batch.
constexpr std::size_t kMaxRestoredBytes = 1U << 20U;

std::string TooMuch(std::string_view what, std::string_view key, std::uint64_t limit, std::string_view hint) {
  return ErrorMessage({.sqlstate = "53200",
                       .message = std::string(what) + " exceed the limit of this session",
                       .detail = "[limits] " + std::string(key) + " of Waypost is " + std::to_string(limit) + ".",
                       .hint = hint});
}

std::size_t SizeOf(std::string_view name, std::string_view sql) { return sizeof(Setting) + name.size() + sql.size(); }

bool Sets(const SettingEffect& effect) {
  return effect.kind == SettingEffect::Kind::kSet || effect.kind == SettingEffect::Kind::kSetLocal;
}

}  // namespace

bool Session::RefusesTooMuch(BatchMessage& message, const SqlRef& sql) {
  auto error = WhyTooMuch(*sql->facts);
  std::size_t text = sql->text.size();  // that all statements in it share
  for (const auto& facts : *sql->facts)
    if (facts.kind == StatementKind::kPrepare && error.empty()) error = WhyNoStatement(std::exchange(text, 0));
  if (error.empty()) return false;
  RefuseTooMuch(message, std::move(error));
  return true;
}

void Session::RefuseTooMuch(BatchMessage& message, std::string error) {
  Refuse(message, std::move(error));
  CombineClass(Class::kWrite, Reason::kRefused);
}

// Empty if `list`, statements that are about to run, may be; else the error.
std::string Session::WhyTooMuch(const std::vector<Facts>& list) {
  const auto& limits = env_.config().kept;
  auto& b = *batch_;
  const auto& set = *settings_.effective();
  std::size_t held = 0, replaced = 0, settings = 0, savepoints = settings_.savepoints();
  bool series = false;
  std::unordered_set<std::string_view> names;
  for (const auto& facts : list) {
    // Enough is known: what they replace is no more than what is held. The rest of a long text is not looked at.
    if (settings > limits.settings_bytes || b.copied_bytes > kMaxCopiedBytes) break;
    if (facts.kind == StatementKind::kSavepoint) ++savepoints;
    if (AsksSettings(facts.kind)) series = false;
    for (const auto& effect : facts.settings) {
      b.restored_bytes += settings_.RestoringBytes(effect);
      if (b.restored_bytes > kMaxRestoredBytes)
        return ErrorMessage({.sqlstate = "54000", .message = "too much is to be set again behind RESET in one batch"});
      const bool joins = JoinsSeries(effect);
      const bool copies = !(std::exchange(series, joins) && joins);
      if (!Sets(effect)) {
        if (copies) b.copied_bytes += held + settings;
        continue;
      }
      if (held == 0) held = BytesOf(set);
      if (names.insert(effect.name).second) {
        settings += SizeOf(effect.name, effect.sql);
        if (const auto* old = FindSetting(set, CanonicalSetting(effect.name))) replaced += SizeOf(old->name, old->sql);
      }
      if (copies) b.copied_bytes += held + settings;
    }
  }
  if (settings > 0 && held + settings > limits.settings_bytes + replaced)
    return TooMuch("settings", "session_settings", limits.settings_bytes, "RESET what is not needed.");
  if (b.copied_bytes > kMaxCopiedBytes)
    return ErrorMessage({.sqlstate = "54000", .message = "too many changes of settings in one batch"});
  if (savepoints > settings_.savepoints() && savepoints > limits.savepoints)
    return TooMuch("savepoints", "session_savepoints", limits.savepoints, "RELEASE what is not needed.");
  return {};
}

// Empty if the session may name one more statement of so many bytes.
std::string Session::WhyNoStatement(std::size_t bytes) {
  if (const auto names = env_.config().kept.statement_names; names_.planned_size() >= names)
    return TooMuch("named prepared statements", "session_statement_names", names, "DEALLOCATE or close what is not needed.");
  const auto limit = env_.config().kept.statements_bytes;
  named_bytes_ += bytes + StatementNames::kBytesEach;
  if (named_bytes_ <= limit) return {};
  // What was closed since is not counted; no more often than an eighth of the limit was named.
  named_bytes_ = names_.Bytes() + bytes + StatementNames::kBytesEach;
  if (named_bytes_ <= limit - limit / 8) return {};
  named_bytes_ = std::max<std::size_t>(named_bytes_, limit);
  return TooMuch("prepared statements", "session_statements", limit, "DEALLOCATE or close what is not needed.");
}

std::string Session::WhyNoPortal(std::string_view name) const {
  const auto limit = env_.config().kept.portals;
  if (name.empty() || batch_->portals.named() + portals_.named() < limit) return {};
  return TooMuch("named portals", "session_portals", limit, "Close what is not needed.");
}

}  // namespace waypost
