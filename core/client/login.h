// A client from its first byte to its first ReadyForQuery: SSL and GSS requests, start-up, SCRAM, and the check of its
// start-up settings on a primary. Worker thread only; belongs to its client (a session) until it is done.
#pragma once

#include <functional>
#include <initializer_list>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "core/base/bytes.h"
#include "core/base/certificate_name.h"
#include "core/base/log.h"
#include "core/base/time.h"
#include "core/config/server_names.h"
#include "core/env/catalogs.h"
#include "core/env/client_count.h"
#include "core/env/tls_in_force.h"
#include "core/server/startup_check.h"
#include "metrics/labels.h"
#include "parser/wire/scram.h"
#include "parser/wire/startup.h"
#include "routing/hba.h"
#include "routing/settings.h"

namespace waypost {

class Env;
class PoolSet;

class ClientLogin;

// Who a client is, once it is logged in.
struct ClientIdentity {
  std::string user, database;
  Settings startup;          // what the client asked for
  Parameters only_at_start;  // the same, of what no statement can set
  std::shared_ptr<const Parameters> parameters;  // ParameterStatus as the primary told it
  std::uint64_t defaults = 0;  // what the DefaultsClock said before it was asked
  bool read_committed = false;  // its transactions are, unless it says otherwise
};

// Whose login it is: a session.
class LoginClient {
 public:
  virtual void WriteClient(Bytes bytes) = 0;
  // Sends `message` (if any), then closes.
  virtual void Close(const std::string& message, ClientOutcome outcome) = 0;
  // Before the client is told its cancel key: that is as long as protocol 3.2 has it.
  virtual void UseLongSecret() = 0;
  // By which listener it came in.
  [[nodiscard]] virtual std::string_view listener() const = 0;
  // What follows is TLS, of which `read` has been read. `alpn`: the client must name the protocol.
  virtual void StartTls(const TlsContextRef& context, Bytes read, bool alpn) = 0;
  [[nodiscard]] virtual std::uint32_t cancel_pid() const = 0;
  [[nodiscard]] virtual const std::string& secret() const = 0;
  // It is in ClientCount as `who` until it ends.
  virtual void CountedAs(CountedClient who) = 0;
  // See Stream: costs a system call.
  [[nodiscard]] virtual std::string PeerName() const = 0;
  // See Stream.
  [[nodiscard]] virtual std::optional<std::uint32_t> LocalUser() const = 0;
  // See Stream.
  [[nodiscard]] virtual std::optional<CertificateName> PeerCertificate() const = 0;
  // The name of the system's user of that number, later; empty: there is none. `done` may outlive the login.
  virtual void FindSystemUser(std::uint32_t number, std::function<void(const std::string& name)> done) = 0;
  // A line of the log, with what is known of the session.
  virtual void Say(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const = 0;
  // `greeting`: what the client is to be told. The login is over.
  virtual void OnLoggedIn(ClientIdentity identity, const std::string& greeting) = 0;
  // True if this is the console: then no server is asked, OnConsole() ends the login, and the client is greeted there.
  [[nodiscard]] virtual bool WantsConsole(const std::string& user, const std::string& database) const = 0;
  virtual void OnConsole(const std::string& user, const std::string& database) = 0;
  [[nodiscard]] virtual bool logged_in() const = 0;
  // What came after the login.
  virtual void OnMoreData(Bytes data) noexcept = 0;

 protected:
  ~LoginClient() = default;
};

// Finds whose cancel key it is: the key names the worker.
class CancelRouter {
 public:
  virtual void RouteCancel(std::uint32_t pid, std::string secret) = 0;

 protected:
  ~CancelRouter() = default;
};

// What all logins on a worker use together, beside Env; the worker's.
struct LoginCommon {
  StartupChecks& startup_checks;
  const PoolSet& pools;
  CancelRouter& cancels;
  std::function<void(std::function<void()>)> post;  // a task runs in the worker's thread, later; any thread
  std::list<ClientLogin*> unproved = {};  // those who have not proved who they are, the oldest first
};

class ClientLogin final : public StartupUser, public CatalogUser {
 public:
  ClientLogin(Env& env, LoginCommon& common, LoginClient& client);
  ~ClientLogin();
  ClientLogin(const ClientLogin&) = delete;
  ClientLogin& operator=(const ClientLogin&) = delete;

  void OnData(Bytes data);
  // Others come in, and of those that have not logged in this one is the oldest: it gets 53300.
  void TurnAway();
  // Ends a login that has taken longer than login_timeout or, once proved, has waited for the primary for longer than
  // query_wait_timeout, or for longer than failover_hold while there is none.
  void Sweep(TimePoint now);
  // The client goes: no more calls.
  void Abandon();
  void OnStartupChecked(const StartupAnswer& answer) noexcept override;
  // The catalogue of its database was loaded.
  void OnCatalog() noexcept override;

 private:
  enum class Phase : std::uint8_t { kFirst, kSaslStart, kSaslEnd, kVerifier, kPeer, kFailed, kChecking, kCatalog, kDone };

  bool OnFirst(Bytes& in);
  // An SSLRequest; what came behind it is `rest`.
  bool OnSslRequest(Bytes rest);
  // What comes is TLS without an SSLRequest: taken, if the listener speaks it. False: it is not.
  bool OnDirectTls(Bytes& in);
  void StartTls(const TlsContextRef& context, Bytes read, bool alpn);
  void OnMalformed(Bytes in, std::string_view fault);
  // The primary was not asked within query_wait_timeout.
  void RefuseUnchecked();
  void OnStartup(StartupPacket packet);
  // It came by a Unix socket: TLS is not for it.
  [[nodiscard]] bool Local();
  // The entries of hba_file, if there is one, let it in, as `verdict_` says; else it is refused.
  [[nodiscard]] bool LetIn();
  // It has the certificate that `verdict_` wants, whosever; else it is refused.
  [[nodiscard]] bool ShowsCertificate();
  // Its certificate is the user's, if `verdict_` wants that.
  [[nodiscard]] bool CertificateIsOfUser() const;
  // What the servers have of the user is asked, if they are; then the client is.
  void AskVerifier();
  void OnVerifier(bool answered);
  // As `verdict_` wants it.
  void Prove();
  void StartScram();
  // Who it is to the system.
  void AskPeer();
  void OnPeer(const std::string& system_user);
  void AdmitByCertificate();
  // It need prove nothing more.
  void Admit();
  // From now on database and user are those that the servers know.
  void UseServerNames();
  // It counts, and goes on to where it wants to be.
  void Enter();
  // What it is told, before it proves anything, of protocols that it asked for and does not get. May be empty.
  [[nodiscard]] std::string Negotiate();
  // This, for what comes later and from other threads.
  [[nodiscard]] std::weak_ptr<ClientLogin*> Self();
  // It no longer counts as one that has not logged in.
  void LeaveLogins();
  bool OnPassword(Bytes& in);
  void OnSaslStart(Bytes body);
  void OnSaslEnd(Bytes body);
  void Refuse(const ScramError& error);
  // Wrong password, or nobody has one: it is told so after failed_login_delay.
  void FailLogin();
  void RefuseFailed();
  // What limits by address know it by; empty: they do not hold for it.
  [[nodiscard]] const std::string& Source();
  // More log-ins come from its address than may: it is refused. Once a login, before what costs time.
  [[nodiscard]] bool ComesTooOften();
  // Counts it, or refuses it.
  [[nodiscard]] bool TakePlace();
  void Check();
  void Finish();
  [[nodiscard]] StartupQuestion Question() const;
  // What came after the login is the client's.
  void HandOverRest();
  // FATAL, then the connection closes.
  void Refuse(std::string_view sqlstate, std::string_view message, std::string_view detail = {});

  Env& env_;
  LoginCommon& common_;
  LoginClient& client_;
  std::optional<std::list<ClientLogin*>::iterator> place_;  // in LoginCommon::unproved
  Phase phase_ = Phase::kFirst;
  TimePoint started_;
  std::uint64_t defaults_ = 0;  // see ClientIdentity
  std::string input_;
  StartupPacket startup_;
  ServerNames names_;  // what becomes of its database and user once it has logged in
  std::shared_ptr<const Parameters> parameter_status_;
  bool read_committed_ = false;
  std::vector<std::string> only_at_start_;  // see StartupAnswer
  bool asked_ssl_ = false, asked_gss_ = false;
  bool tls_ = false;
  std::string end_point_;  // see TlsContext::end_point(); empty: there is nothing to bind to
  std::optional<std::string> source_;
  bool rated_ = false;  // it counts in LoginRates
  bool known_user_ = false;
  bool reading_ = false;  // inside OnData
  std::shared_ptr<ClientLogin*> self_;  // for what comes from other threads
  std::optional<TimePoint> ask_again_at_;
  std::optional<ScramServer> scram_;
  std::optional<std::optional<std::uint32_t>> local_user_;  // see Local()
  Hba::Verdict verdict_{.answer = Hba::Answer::kScram};
  std::optional<CertificateName> certificate_;  // if `verdict_` asks for one
};

}  // namespace waypost
