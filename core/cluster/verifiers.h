// Asks the servers what their users prove themselves by: auth_query, on a thread and a libpq connection of its own, which takes
// nothing from any client but the name, as a parameter. An answer counts for a moment only, so that what changes in PostgreSQL
// counts here within a second.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/config/config.h"
#include "routing/cluster_view.h"

namespace waypost {

class Verifiers {
 public:
  // What was found of `user`: its verifier as pg_authid has it; empty: nobody of that name may log in by SCRAM.
  using OnFound = std::function<void(const std::string& user, const std::string& verifier)>;
  // `answered`: OnFound was called with what is true now. Otherwise no server could be asked.
  using Done = std::function<void(bool answered)>;

  Verifiers(ConfigSnapshot config, std::function<View()> view, OnFound found);
  ~Verifiers();
  Verifiers(const Verifiers&) = delete;
  Verifiers& operator=(const Verifiers&) = delete;

  void Start();
  // What waits is dropped.
  void Stop();
  void Reload(ConfigSnapshot config);
  // Any thread. True: it was asked a moment ago, and `done` is not called; false: `done` is called from the thread of this.
  [[nodiscard]] bool Ask(const std::string& user, Done done);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace waypost
