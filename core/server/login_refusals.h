// Which replicas refused to log a user in to a database: their pg_hba.conf, a login event trigger, a role or a password that
// they have not replayed yet. Reads of that user there go elsewhere for a while; then one of them tries again.
// Worker thread only; Report() is for the administrator.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "routing/cluster_view.h"

namespace waypost {

struct LoginRefusal {
  ServerId server = 0;
  std::string database, user;
  std::string error;  // the server's words
  TimePoint until{};
};

class LoginRefusals {
 public:
  static constexpr seconds kTakenOut{30};

  // Replaces what was known of that server, database and user.
  void Note(LoginRefusal refusal);
  // A log-in there succeeded.
  void Forget(ServerId server, std::string_view database, std::string_view user);
  // The servers that refuse `user` in `database` at `now`, as bits by ServerId.
  [[nodiscard]] std::uint64_t Of(std::string_view database, std::string_view user, TimePoint now) const {
    return refusals_.empty() ? 0 : Bits(database, user, now);
  }
  // Those that hold at `now`.
  [[nodiscard]] std::vector<LoginRefusal> Report(TimePoint now) const;

 private:
  [[nodiscard]] std::uint64_t Bits(std::string_view database, std::string_view user, TimePoint now) const;

  std::vector<LoginRefusal> refusals_;  // few
};

}  // namespace waypost
