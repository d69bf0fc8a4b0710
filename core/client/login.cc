#include "core/client/login.h"

#include <algorithm>
#include <utility>

#include "core/base/ascii.h"
#include "core/config/credentials.h"
#include "core/env/env.h"
#include "core/server/pool_set.h"
#include "parser/wire/encode.h"
#include "parser/wire/fields.h"
#include "parser/wire/frame.h"
#include "routing/health.h"
#include "routing/ip.h"

namespace waypost {
namespace {

constexpr std::uint32_t kProtocol3 = 3U << 16U;
// How long a login waits for the catalogue of its database; then it goes on, with the primary alone.
constexpr milliseconds kCatalogWait{2'000};
constexpr milliseconds kAskAgainAfter{250};  // a server, for a verifier
// Nothing that a client may send before it is logged in is longer.
constexpr std::size_t kMaxInputBytes = 64 * 1024;

// AuthenticationSASL, -Continue, -Final, Ok: postgres src/include/libpq/pqcomm.h
constexpr std::uint32_t kAuthOk = 0, kAuthSasl = 10, kAuthSaslContinue = 11, kAuthSaslFinal = 12;

bool WantsReplication(std::string_view value) {
  return !value.empty() && value != "false" && value != "off" && value != "no" && value != "0";
}

struct LimitText {
  std::string message, detail;
};

// As PostgreSQL says it, where it has such a limit.
LimitText TextOf(ClientLimit limit, const CountedClient& who) {
  switch (limit) {
    case ClientLimit::kUser:
      return {"too many connections for role \"" + who.user + "\"", "Waypost's max_clients of this [[user]] is reached."};
    case ClientLimit::kDatabase:
      return {"too many connections for database \"" + who.database + "\"",
              "Waypost's max_clients of this [[database]] is reached."};
    case ClientLimit::kAddress:
      return {"too many connections from address " + who.address, "Waypost's max_clients_per_address is reached."};
    case ClientLimit::kAll:
    case ClientLimit::kNone: break;
  }
  return {"sorry, too many clients already", "Waypost's max_clients is reached."};
}

}  // namespace

ClientLogin::ClientLogin(Env& env, LoginCommon& common, LoginClient& client)
    : env_(env),
      common_(common),
      client_(client),
      place_(common.unproved.insert(common.unproved.end(), this)),
      started_(env.Now()) {}

ClientLogin::~ClientLogin() { LeaveLogins(); }

void ClientLogin::LeaveLogins() {
  if (place_) common_.unproved.erase(*place_);
  place_.reset();
}

void ClientLogin::TurnAway() {
  Refuse("53300", "sorry, too many clients are logging in",
         "Waypost's max_logins is reached, and of the connections that have not logged in yet this one is the oldest.");
}

void ClientLogin::Sweep(TimePoint now) {
  const auto longer_than = [&](milliseconds limit) { return limit.count() > 0 && now - started_ > limit; };
  switch (phase_) {
    case Phase::kFirst:
    case Phase::kSaslStart:
    case Phase::kSaslEnd:
    case Phase::kPeer:
      if (!longer_than(env_.config().limits.login_timeout)) return;
      client_.Say(LogLevel::kInfo, "client_refused", {{"user", startup_.user}, {"error", "no login within login_timeout"}});
      // PostgreSQL says nothing either to who has not proved who he is.
      return client_.Close("", ClientOutcome::kTimeout);
    case Phase::kVerifier:
      if (now - started_ > (env_.config().limits.login_timeout.count() > 0 ? env_.config().limits.login_timeout
                                                                           : env_.config().cluster.failover_hold))
        return Refuse("57P03", "no server could be asked whether the user may log in", WhyNoPrimary(env_.view()));
      if (ask_again_at_ && now >= *ask_again_at_) AskVerifier();
      return;
    case Phase::kFailed:
      if (!longer_than(env_.config().failed_login_delay)) return;
      return RefuseFailed();
    case Phase::kChecking:
      if (env_.view().primary ? longer_than(env_.config().pool.query_wait_timeout)
                              : now - started_ >= env_.config().cluster.failover_hold)
        RefuseUnchecked();
      return;
    case Phase::kCatalog:
      if (now - started_ <= kCatalogWait) return;
      env_.catalogs().Leave(*this);
      return Finish();
    case Phase::kDone: return;
  }
}

void ClientLogin::RefuseUnchecked() {
  if (!env_.view().primary) return Refuse("57P03", "no primary server is available", WhyNoPrimary(env_.view()));
  if (common_.startup_checks.LacksPlace(*this))
    return Refuse("53300", "no server connection became free within query_wait_timeout");
  Refuse("57P03", "the primary server did not answer within query_wait_timeout");
}

void ClientLogin::Abandon() {
  LeaveLogins();
  if (phase_ == Phase::kChecking) common_.startup_checks.Forget(*this);
  if (phase_ == Phase::kCatalog) env_.catalogs().Leave(*this);
  phase_ = Phase::kDone;
}

void ClientLogin::Refuse(std::string_view sqlstate, std::string_view message, std::string_view detail) {
  std::string out;
  AppendError(out, {.severity = "FATAL", .sqlstate = sqlstate, .message = message, .detail = detail});
  client_.Say(LogLevel::kInfo, "client_refused",
              {{"user", startup_.user}, {"database", startup_.database}, {"sqlstate", sqlstate}, {"error", message}});
  const bool auth = sqlstate.starts_with("28");
  client_.Close(out, auth                  ? ClientOutcome::kAuthFailed
                     : sqlstate == "53300" ? ClientOutcome::kLimit
                     : sqlstate == "57P03" ? ClientOutcome::kTimeout
                     : sqlstate == "08P01" ? ClientOutcome::kProtocolError
                                           : ClientOutcome::kServerError);
}

void ClientLogin::OnData(Bytes data) {
  input_ += AsText(data);
  if (input_.size() > kMaxInputBytes) return Refuse("08P01", "too much data before the end of the login");
  auto in = AsBytes(input_);
  bool more = true;
  reading_ = true;
  while (more && phase_ <= Phase::kSaslEnd) more = phase_ == Phase::kFirst ? OnFirst(in) : OnPassword(in);
  reading_ = false;
  input_.erase(0, input_.size() - in.size());
  HandOverRest();
}

void ClientLogin::HandOverRest() {
  if (reading_ || phase_ != Phase::kDone || !client_.logged_in() || input_.empty()) return;
  const auto rest = std::move(input_);
  input_.clear();
  client_.OnMoreData(AsBytes(rest));
}

void ClientLogin::OnMalformed(Bytes in, std::string_view fault) {
  using std::string_view_literals::operator""sv;
  const auto begin = AsText(in);
  if (begin.starts_with("X\0\0\0"sv)) return client_.Close("", ClientOutcome::kOk);  // Terminate: it thought better of it
  // What other protocols say first, as a help for whoever got the port wrong.
  std::string_view hint;
  if (begin.starts_with("GET ") || begin.starts_with("POST") || begin.starts_with("HEAD") || begin.starts_with("PRI "))
    hint = "This looks like HTTP; the admin API listens on another port.";
  else if (!in.empty() && in[0] == std::byte{0x16}) hint = "This looks like TLS without an SSLRequest.";
  Refuse("08P01", fault, hint);
}

bool ClientLogin::OnSslRequest(Bytes rest) {
  if (std::exchange(asked_ssl_, true)) {
    Refuse("08P01", "the same encryption was requested twice");
    return false;
  }
  const auto tls = env_.shared().tls.OfListener(client_.listener());
  if (tls.mode == ListenTls::kDisable || Local()) {
    client_.WriteClient(AsBytes("N"));
    return true;
  }
  // As if it had come encrypted it would count for the client's own.
  if (!rest.empty()) {
    Refuse("08P01", "received unencrypted data after SSL request",
           "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.");
    return false;
  }
  if (ComesTooOften()) return false;
  client_.WriteClient(AsBytes("S"));
  StartTls(tls.context, {}, false);
  return false;
}

bool ClientLogin::OnDirectTls(Bytes& in) {
  constexpr std::byte kHandshakeRecord{0x16};  // no start-up packet is long enough to begin so
  if (in.empty() || in[0] != kHandshakeRecord || asked_ssl_ || asked_gss_) return false;
  const auto tls = env_.shared().tls.OfListener(client_.listener());
  if (tls.mode == ListenTls::kDisable || Local()) return false;
  asked_ssl_ = true;
  if (ComesTooOften()) return true;  // it cannot read why; the log says it
  StartTls(tls.context, std::exchange(in, {}), true);
  return true;
}

void ClientLogin::StartTls(const TlsContextRef& context, Bytes read, bool alpn) {
  tls_ = true;
  end_point_ = context->end_point();
  client_.StartTls(context, read, alpn);
}

bool ClientLogin::OnFirst(Bytes& in) {
  if (OnDirectTls(in)) return false;
  auto packet = ReadStartup(in);
  switch (packet.kind) {
    case StartupKind::kNeedMore: return false;
    case StartupKind::kMalformed: OnMalformed(in, packet.fault); return false;
    case StartupKind::kSslRequest: return OnSslRequest(in);
    case StartupKind::kGssRequest:
      if (std::exchange(asked_gss_, true) || tls_) {
        Refuse("08P01", tls_ ? "GSSAPI encryption was requested inside TLS" : "the same encryption was requested twice");
        return false;
      }
      client_.WriteClient(AsBytes("N"));
      return true;
    case StartupKind::kCancel:
      common_.cancels.RouteCancel(packet.cancel_pid, std::move(packet.cancel_secret));
      client_.Close("", ClientOutcome::kOk);
      return false;
    case StartupKind::kUnsupportedMajor:
      Refuse("0A000", "unsupported frontend protocol " + std::to_string(packet.major) + "." + std::to_string(packet.minor) +
                          ": server supports 3.0 to 3." +
                          std::to_string(env_.shared().protocol_minor.load(std::memory_order_relaxed)));
      return false;
    case StartupKind::kStartup: OnStartup(std::move(packet)); return phase_ != Phase::kDone;
  }
  return false;
}

void ClientLogin::OnStartup(StartupPacket packet) {
  startup_ = std::move(packet);
  if (ComesTooOften()) return;
  if (!tls_ && env_.shared().tls.OfListener(client_.listener()).mode == ListenTls::kRequire && !Local())
    return Refuse("28000", "Waypost accepts only encrypted connections here, and this one is not",
                  "The listener has tls = \"require\". Connect with sslmode=require or stricter.");
  if (startup_.user.empty()) return Refuse("28000", "no PostgreSQL user name specified in startup packet");
  if (WantsReplication(startup_.replication))
    return Refuse("0A000", "replication connections are not supported by Waypost",
                  "Connect to the server itself for replication.");
  std::vector<std::pair<std::string, std::string>> settings;
  if (!ReadOptions(startup_.options, settings))
    return Refuse("22023", "the start-up option \"options\" holds something other than -c name=value or --name=value");

  // Of the same configuration that lets it in: a reload while it proves who it is gives it nobody's rights.
  names_ = NamesOnServers(env_.config(), startup_.database, startup_.user);
  if (LetIn()) AskVerifier();
}

bool ClientLogin::Local() {
  if (!local_user_) local_user_ = client_.LocalUser();
  return local_user_->has_value();
}

bool ClientLogin::LetIn() {
  const auto& hba = env_.config().auth.hba;
  if (!hba) return true;
  const auto peer = client_.PeerName();
  const HbaQuestion question{startup_.database, startup_.user, AddressOfPeer(peer), tls_, Local()};
  verdict_ = hba->Find(question);
  if (!ShowsCertificate()) return false;
  if (verdict_.answer != Hba::Answer::kNoEntry && verdict_.answer != Hba::Answer::kReject) return true;
  Refuse("28000", HbaRefusal(verdict_.answer, question, ShownHostOf(peer)));
  return false;
}

bool ClientLogin::ShowsCertificate() {
  if (verdict_.certificate == Hba::Certificate::kNothing) return true;
  const auto tls = env_.shared().tls.OfListener(client_.listener());
  if (!tls.context || !tls.context->verifies()) {
    Refuse("F0000", "client certificates can only be checked if a root certificate store is available",
           "The listener has no tls_client_ca.");
    return false;
  }
  certificate_ = client_.PeerCertificate();
  if (!certificate_) Refuse("28000", "connection requires a valid client certificate");
  return certificate_.has_value();
}

bool ClientLogin::CertificateIsOfUser() const {
  if (verdict_.certificate != Hba::Certificate::kOfUser) return true;
  const auto& name = verdict_.whole_subject ? certificate_->subject : certificate_->common;
  if (!name.empty() && env_.config().auth.ident.Lets(verdict_.map, name, startup_.user)) return true;
  client_.Say(LogLevel::kInfo, "certificate_is_another", {{"user", startup_.user}, {"certificate", name}, {"map", verdict_.map}});
  return false;
}

// Also of a user of the configuration, which wins: how long it takes tells nobody who is in it. Only while no server can be asked
// does it: then who is in it comes in, and others wait.
void ClientLogin::AskVerifier() {
  if (!env_.config().auth.asks()) return Prove();
  phase_ = Phase::kVerifier;
  ask_again_at_.reset();
  const bool known = env_.shared().ask_verifier(startup_.user, [post = common_.post, me = Self()](bool answered) {
    post([me, answered] {
      if (const auto self = me.lock()) (*self)->OnVerifier(answered);
    });
  });
  if (known) Prove();
}

std::weak_ptr<ClientLogin*> ClientLogin::Self() {
  if (!self_) self_ = std::make_shared<ClientLogin*>(this);
  return self_;
}

void ClientLogin::OnVerifier(bool answered) {
  if (phase_ != Phase::kVerifier) return;
  if (answered || env_.shared().credentials.Configured(startup_.user)) {
    Prove();
    return OnData({});  // what came meanwhile
  }
  ask_again_at_ = env_.Now() + kAskAgainAfter;
}

void ClientLogin::Prove() {
  switch (verdict_.answer) {
    case Hba::Answer::kPeer: return AskPeer();
    case Hba::Answer::kCert: return AdmitByCertificate();
    case Hba::Answer::kTrust: return Admit();
    case Hba::Answer::kScram:
    case Hba::Answer::kNoEntry:
    case Hba::Answer::kReject: return StartScram();
  }
}

void ClientLogin::AskPeer() {
  phase_ = Phase::kPeer;
  if (!Local()) return OnPeer("");
  client_.FindSystemUser(**local_user_, [me = Self()](const std::string& name) {
    if (const auto self = me.lock()) (*self)->OnPeer(name);
  });
}

void ClientLogin::OnPeer(const std::string& system_user) {
  if (phase_ != Phase::kPeer) return;
  if (!system_user.empty() && env_.config().auth.ident.Lets(verdict_.map, system_user, startup_.user)) return Admit();
  client_.Say(LogLevel::kInfo, "peer_is_another", {{"user", startup_.user}, {"system_user", system_user}, {"map", verdict_.map}});
  Refuse("28000", "Peer authentication failed for user \"" + startup_.user + "\"");
}

void ClientLogin::AdmitByCertificate() {
  if (CertificateIsOfUser()) return Admit();
  Refuse("28000", "certificate authentication failed for user \"" + startup_.user + "\"");
}

void ClientLogin::Admit() {
  (void)env_.shared().credentials.VerifierOf(startup_.user, known_user_);
  if (!known_user_)
    return Refuse("28000", "role \"" + startup_.user + "\" does not exist",
                  "Neither Waypost's configuration nor its auth_query knows it.");
  LeaveLogins();
  if (!TakePlace()) return;
  if (const auto out = Negotiate(); !out.empty()) client_.WriteClient(AsBytes(out));
  Enter();
}

std::string ClientLogin::Negotiate() {
  std::string out;
  // As the primary would: to its clients a server of an older major offers no more than it speaks itself.
  const auto minor = std::min(startup_.minor, env_.shared().protocol_minor.load(std::memory_order_relaxed));
  if (minor >= kLongKeysMinor) client_.UseLongSecret();
  if (startup_.minor > minor || !startup_.unknown_options.empty()) {
    MessageBuilder message(out, 'v');
    message.U32(kProtocol3 | minor).U32(static_cast<std::uint32_t>(startup_.unknown_options.size()));
    for (const auto& option : startup_.unknown_options) message.CString(option);
  }
  return out;
}

void ClientLogin::StartScram() {
  auto out = Negotiate();
  {
    MessageBuilder message(out, 'R');
    message.U32(kAuthSasl);
    if (!end_point_.empty()) message.CString(kScramPlusMechanism);
    message.CString(kScramMechanism).Byte('\0');
  }
  scram_.emplace(env_.shared().credentials.VerifierOf(startup_.user, known_user_),
                 ScramNonce(AsBytes(RandomBytes(kScramNonceBytes))), end_point_);
  phase_ = Phase::kSaslStart;
  client_.WriteClient(AsBytes(out));
}

bool ClientLogin::OnPassword(Bytes& in) {
  auto rest = in;
  FrameHeader header;
  const auto found = NextHeader(rest, header);
  if (found == FrameStatus::kNeedMore) return false;
  if (found == FrameStatus::kMalformed || header.body_bytes > kMaxScramMessageBytes + 64) {
    Refuse("08P01", "invalid message length");
    return false;
  }
  if (header.type != 'p') {
    Refuse("08P01", "expected SASL response, got message type " +
                        std::to_string(static_cast<unsigned>(static_cast<unsigned char>(header.type))));
    return false;
  }
  if (rest.size() < header.body_bytes) return false;
  const auto body = rest.first(header.body_bytes);
  in = rest.subspan(header.body_bytes);
  if (phase_ == Phase::kSaslStart) OnSaslStart(body);
  else OnSaslEnd(body);
  return phase_ != Phase::kDone;
}

void ClientLogin::Refuse(const ScramError& error) {
  const auto sqlstate = ScramSqlState(error.fault);
  if (error.fault == ScramFault::kOtherChannel) return Refuse(sqlstate, error.message);
  Refuse(sqlstate, "malformed SCRAM message", error.message);
}

void ClientLogin::OnSaslStart(Bytes body) {
  Fields fields(body);
  const auto mechanism = fields.CString();
  const auto length = fields.U32();
  if (!fields.ok()) return Refuse("08P01", "malformed SASL response");
  const bool plus = mechanism == kScramPlusMechanism && !end_point_.empty();
  if (mechanism != kScramMechanism && !plus) return Refuse("08P01", "client selected an invalid SASL authentication mechanism");
  if (length != fields.rest().size()) return Refuse("08P01", "malformed SASL response");
  const auto first = scram_->OnClientFirst(AsText(fields.rest()), plus);
  if (!first) return Refuse(first.fault());
  std::string out;
  MessageBuilder(out, 'R').U32(kAuthSaslContinue).Raw(AsBytes(*first));
  phase_ = Phase::kSaslEnd;
  client_.WriteClient(AsBytes(out));
}

void ClientLogin::FailLogin() {
  if (env_.config().failed_login_delay.count() == 0) return RefuseFailed();
  phase_ = Phase::kFailed;
  started_ = env_.Now();
}

void ClientLogin::RefuseFailed() { Refuse("28P01", "password authentication failed for user \"" + startup_.user + "\""); }

const std::string& ClientLogin::Source() {
  if (!source_) {
    const auto peer = client_.PeerName();
    const auto address = AddressOfPeer(peer);
    const auto& limits = env_.config().per_address;
    if (peer == kLocalPeer) source_ = limits.unlimited_local ? std::string() : std::string(kLocalPeer);
    else source_ = address && limits.HoldFor(*address) ? SourceOf(*address) : std::string();
  }
  return *source_;
}

bool ClientLogin::ComesTooOften() {
  const auto per_second = env_.config().per_address.logins_per_second;
  if (per_second == 0 || std::exchange(rated_, true) || Source().empty()) return false;
  if (env_.shared().login_rates.Take(Source(), per_second, env_.Now())) return false;
  Refuse("53300", "too many log-ins from address " + Source(),
         "Waypost's logins_per_address is reached: " + std::to_string(per_second) + " a second.");
  return true;
}

bool ClientLogin::TakePlace() {
  const auto& config = env_.config();
  const auto* user = config.FindUser(startup_.user);
  const auto* database = config.FindDatabase(startup_.database);
  const ClientLimits limits{.all = config.max_clients,
                            .user = user == nullptr ? 0 : user->max_clients,
                            .database = database == nullptr ? 0 : database->max_clients,
                            .address = config.per_address.max_clients};
  CountedClient who{startup_.user, startup_.database, limits.address == 0 ? std::string() : Source()};
  if (const auto reached = env_.shared().clients.Take(who, limits); reached != ClientLimit::kNone) {
    const auto text = TextOf(reached, who);
    Refuse("53300", text.message, text.detail);
    return false;
  }
  client_.CountedAs(std::move(who));
  return true;
}

void ClientLogin::OnSaslEnd(Bytes body) {
  auto done = scram_->OnClientFinal(AsText(body));
  if (!done && done.fault().fault != ScramFault::kWrongPassword) return Refuse(done.fault());
  if (!done || !known_user_ || !CertificateIsOfUser()) return FailLogin();
  LeaveLogins();
  if (!TakePlace()) return;
  env_.shared().credentials.Learn(startup_.user, done->keys);
  std::string out;
  MessageBuilder(out, 'R').U32(kAuthSaslFinal).Raw(AsBytes(done->server_final));
  client_.WriteClient(AsBytes(out));
  Enter();
}

void ClientLogin::UseServerNames() {
  startup_.database = names_.database;
  if (names_.user == startup_.user) return;
  client_.Say(LogLevel::kInfo, "user_replaced", {{"user", startup_.user}, {"by", names_.user}, {"database", startup_.database}});
  startup_.user = names_.user;
}

void ClientLogin::Enter() {
  const bool console = client_.WantsConsole(startup_.user, startup_.database);
  if (!console) {
    const auto& gates = env_.shared().database_gates;
    const auto asked = startup_.database;
    UseServerNames();
    if (gates.Disabled(asked) || gates.Disabled(startup_.database))
      return Refuse("55000", "database \"" + asked + "\" is not currently accepting connections",
                    "It was disabled in Waypost's console.");
    return Check();
  }
  phase_ = Phase::kDone;
  client_.OnConsole(startup_.user, startup_.database);
  HandOverRest();
}

void ClientLogin::Check() {
  phase_ = Phase::kChecking;
  started_ = env_.Now();
  defaults_ = env_.shared().defaults_clock.now();
  common_.startup_checks.Ask(Question(), *this);
}

StartupQuestion ClientLogin::Question() const {
  StartupQuestion question{startup_.database, startup_.user, startup_.parameters};
  if (!startup_.options.empty()) question.parameters.emplace_back("options", startup_.options);
  return question;
}

void ClientLogin::OnStartupChecked(const StartupAnswer& answer) noexcept {
  if (!answer.error.empty()) {
    phase_ = Phase::kDone;
    client_.Say(LogLevel::kInfo, "client_refused",
                {{"user", startup_.user}, {"database", startup_.database}, {"error", "by the server"}});
    return client_.Close(answer.error, ClientOutcome::kServerError);
  }
  parameter_status_ = answer.parameter_status;
  only_at_start_ = answer.only_at_start;
  read_committed_ = answer.read_committed;
  // Without the catalogue nothing could be proved of the first statements: not long, since it is loaded once a database.
  phase_ = Phase::kCatalog;
  started_ = env_.Now();
  if (env_.catalogs().WaitFor(startup_.database, *this)) Finish();
}

void ClientLogin::OnCatalog() noexcept { Finish(); }

void ClientLogin::Finish() {
  phase_ = Phase::kDone;
  SettingSet set;
  Parameters only_at_start;
  std::vector<std::pair<std::string, std::string>> options;
  (void)ReadOptions(startup_.options, options);  // checked at start-up
  const auto* date_style = FindParameter(*parameter_status_, "DateStyle");
  for (const auto& list : {options, startup_.parameters})
    for (const auto& [name, value] : list) {
      const auto lower = AsciiLower(name);
      if (std::find(only_at_start_.begin(), only_at_start_.end(), lower) != only_at_start_.end()) {
        std::erase_if(only_at_start, [&](const auto& other) { return other.first == lower; });
        only_at_start.emplace_back(lower, value);
        continue;
      }
      const bool whole = date_style != nullptr && lower == "datestyle";
      set.push_back(StartupSetting(name, whole ? *date_style : value));  // it may name the half of it
    }
  std::sort(only_at_start.begin(), only_at_start.end());
  if (!only_at_start.empty() && !common_.pools.MayKeepApart(startup_.database, startup_.user, only_at_start))
    return Refuse("53300", "too many different values of \"" + only_at_start.front().first + "\" at start-up",
                  "It can be given only at start-up, and each value needs server connections of its own. Waypost keeps up to "
                  "4 kinds of them for one user in one database.");

  std::string out;
  MessageBuilder(out, 'R').U32(kAuthOk);
  for (const auto& [name, value] : *parameter_status_) AppendParameterStatus(out, name, value);
  MessageBuilder(out, 'K').U32(client_.cancel_pid()).Raw(AsBytes(client_.secret()));
  AppendReadyForQuery(out, 'I');
  client_.OnLoggedIn({startup_.user, startup_.database, env_.settings().Intern(std::move(set)), std::move(only_at_start),
                      parameter_status_, defaults_, read_committed_},
                     out);
  HandOverRest();
}

}  // namespace waypost
