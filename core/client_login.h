// A client from its first byte to its first ReadyForQuery: SSL and GSS requests, start-up, SCRAM, and the check of its
// start-up settings on a primary. Worker thread only; belongs to its Session until it is done.
#pragma once

#include <list>
#include <optional>
#include <string>

#include "core/startup_check.h"
#include "core/base/bytes.h"
#include "core/base/time.h"
#include "parser/scram.h"
#include "parser/startup.h"

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
  // Others come in, and this one has not proved who he is for the longest time: he gets 53300.
  void TurnAway();
  // Ends what has taken longer than login_timeout; or, proved and waiting for a primary, than query_wait_timeout.
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
  // No longer among those who have proved nothing.
  void LeaveLogins();
  bool OnPassword(Bytes& in);
  void OnSaslStart(Bytes body);
  void OnSaslEnd(Bytes body);
  void Check();
  void Finish();
  [[nodiscard]] StartupQuestion Question() const;
  // What came behind the login is the session's.
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
