// A client from its first byte to its first ReadyForQuery: SSL and GSS requests, start-up, SCRAM, and the check of its
// start-up settings on a primary. Worker thread only; belongs to its Session until it is done.
#pragma once

#include <list>
#include <optional>
#include <string>

#include "core/server/startup_check.h"
#include "core/base/bytes.h"
#include "core/base/time.h"
#include "parser/wire/scram.h"
#include "parser/wire/startup.h"

namespace waypost {

class Session;
class Worker;

class ClientLogin final : public StartupUser {
 public:
  ClientLogin(Worker& worker, Session& session);
  ~ClientLogin();
  ClientLogin(const ClientLogin&) = delete;
  ClientLogin& operator=(const ClientLogin&) = delete;

  void OnData(Bytes data);
  // Others come in, and of those that have not logged in this one is the oldest: it gets 53300.
  void TurnAway();
  // Ends a login that has taken longer than login_timeout or, once proved and waiting for a primary, query_wait_timeout.
  void Sweep(TimePoint now);
  // The session ends: no more calls.
  void Abandon();
  void OnStartupChecked(const StartupAnswer& answer) noexcept override;
  // The catalogue of its database was loaded.
  void OnCatalog() noexcept;

 private:
  enum class Phase : std::uint8_t { kFirst, kSaslStart, kSaslEnd, kChecking, kCatalog, kDone };

  bool OnFirst(Bytes& in);
  void OnMalformed(Bytes in, std::string_view fault);
  // The primary was not asked within query_wait_timeout.
  void RefuseUnchecked();
  void OnStartup(StartupPacket packet);
  // It no longer counts as one that has not logged in.
  void LeaveLogins();
  bool OnPassword(Bytes& in);
  void OnSaslStart(Bytes body);
  void OnSaslEnd(Bytes body);
  void Check();
  void Finish();
  [[nodiscard]] StartupQuestion Question() const;
  // What came after the login belongs to the session.
  void HandOverRest();
  // FATAL, then the connection closes.
  void Refuse(std::string_view sqlstate, std::string_view message, std::string_view detail = {});

  Worker& worker_;
  Session& session_;
  std::optional<std::list<ClientLogin*>::iterator> place_;  // among the worker's logins
  Phase phase_ = Phase::kFirst;
  TimePoint started_;
  std::uint64_t defaults_ = 0;  // see Session::Identity
  std::string input_;
  StartupPacket startup_;
  std::shared_ptr<const Parameters> parameter_status_;
  bool read_committed_ = false;
  std::vector<std::string> only_at_start_;  // see StartupAnswer
  bool asked_ssl_ = false, asked_gss_ = false;
  bool known_user_ = false;
  bool reading_ = false;  // inside OnData
  std::optional<ScramServer> scram_;
};

}  // namespace waypost
