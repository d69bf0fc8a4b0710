// Asks a primary whether a client's database, user and start-up settings are good, by a start-up with exactly these, and
// learns which ParameterStatus they give. Equal questions are asked once and remembered for a while. Worker thread only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/server/login.h"
#include "routing/cluster_view.h"

namespace waypost {

class Env;
class PoolHost;
class PoolSet;

struct StartupQuestion {
  std::string database, user;
  Parameters parameters;  // as the client sent them, "options" too
  auto operator<=>(const StartupQuestion&) const = default;
};

struct StartupAnswer {
  std::string error;  // the ErrorResponse if the server refuses; then nothing else counts
  std::shared_ptr<const Parameters> parameter_status;
  bool read_committed = false;  // transactions are, unless the session says otherwise
  std::vector<std::string> only_at_start;  // those of the settings asked for that no statement can set, in lower case
};

class StartupUser {
 public:
  virtual void OnStartupChecked(const StartupAnswer& answer) noexcept = 0;

 protected:
  ~StartupUser() = default;
};

class StartupChecks {
 public:
  StartupChecks(Env& env, PoolHost& host, PoolSet& pools);
  ~StartupChecks();
  StartupChecks(const StartupChecks&) = delete;
  StartupChecks& operator=(const StartupChecks&) = delete;

  // Answers at once or later, exactly once, unless Forget() comes first. While there is no primary, it waits for one.
  void Ask(const StartupQuestion& question, StartupUser& user);
  void Forget(StartupUser& user);
  // True if what `user` waits for is a place under the primary's limit.
  [[nodiscard]] bool LacksPlace(StartupUser& user) const;
  // Tries again what could not be asked; forgets old answers.
  void Sweep(TimePoint now);
  // Since when a start-up has waited for a place under the limit of `server`.
  [[nodiscard]] std::optional<TimePoint> OldestWaiter(ServerId server) const;
  // There may be a place now.
  void PlaceFree(ServerId server);
  // There is another primary, or other users: no old answer holds.
  void Clear();

 private:
  class Probe;
  struct Entry {
    std::unique_ptr<Probe> probe;
    std::vector<StartupUser*> users;
    bool answered = false;
    StartupAnswer answer;
    std::uint64_t renewals = 0;  // how often databases were made or dropped by then
    std::uint64_t defaults = 0;  // what the DefaultsClock said before it was asked
    TimePoint answered_at{}, retry_at{};
    std::optional<TimePoint> no_place_since;
  };
  void Start(const StartupQuestion& question, Entry& entry);
  [[nodiscard]] bool TakePlace(ServerId server, unsigned limit, Entry& entry);
  void Finish(const StartupQuestion& question, ServerLogin::Progress progress, const ServerLogin* login, StartupAnswer answer);

  Env& env_;
  PoolHost& host_;
  PoolSet& pools_;
  std::map<StartupQuestion, Entry> entries_;
};

}  // namespace waypost
