// Statements that want a database to itself (DROP DATABASE and the like): our own idle connections to it make way, and what
// was learnt of a database goes with it.
#include <algorithm>

#include "core/session/session.h"

namespace waypost {
namespace {

// Of these statements one can succeed in a transaction: the others of a batch fail by what they are.
constexpr std::size_t kMaxClaimed = 4;

}  // namespace

// Of what is about to be sent.
void Session::ClaimDatabases() {
  auto& b = *batch_;
  if (b.catalog == CatalogChange::kNone) return;
  const auto before = b.claimed.size();
  for (auto i = b.sent; i < b.messages.size(); ++i) {
    if (!b.messages[i].sql) continue;
    for (const auto& facts : *b.messages[i].sql->facts) {
      if (!facts.databases || b.claimed.size() >= kMaxClaimed) continue;
      const auto& [alone, renewed] = *facts.databases;
      if (std::find(b.claimed.begin(), b.claimed.end(), alone) != b.claimed.end()) continue;
      env_.shared().database_claims.Claim(alone, database_);
      b.claimed.push_back(alone);
      b.renewed.insert(b.renewed.end(), renewed.begin(), renewed.end());
    }
  }
  if (b.claimed.size() == before) return;
  common_.host.DesertDatabases();
  env_.shared().probe_now();  // the prober leaves too
}

void Session::YieldDatabases() {
  if (!batch_) return;
  for (const auto& database : batch_->claimed) env_.shared().database_claims.Yield(database, database_);
  batch_->claimed.clear();
}

void Session::RenewDatabases(const std::vector<std::string>& names) {
  for (const auto& name : names) env_.shared().forget_database(name);
}

}  // namespace waypost
