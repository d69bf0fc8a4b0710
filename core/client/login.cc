#include "core/client/login.h"

#include <algorithm>

#include "core/base/ascii.h"
#include "core/base/log.h"
#include "core/config/credentials.h"
#include "core/env/env.h"
#include "core/server/pool_set.h"
#include "parser/wire/encode.h"
#include "parser/wire/fields.h"
#include "parser/wire/frame.h"
#include "routing/health.h"

namespace waypost {
namespace {

constexpr std::string_view kMechanism = "SCRAM-SHA-256";
constexpr std::uint32_t kProtocol3 = 3U << 16U;
// How long a login waits for the catalogue of its database; then it goes on, with the primary alone.
constexpr milliseconds kCatalogWait{2'000};
// Nothing that a client may send before it is logged in is longer.
constexpr std::size_t kMaxInputBytes = 64 * 1024;

// AuthenticationSASL, -Continue, -Final, Ok: postgres src/include/libpq/pqcomm.h
constexpr std::uint32_t kAuthOk = 0, kAuthSasl = 10, kAuthSaslContinue = 11, kAuthSaslFinal = 12;

bool WantsReplication(std::string_view value) {
  return !value.empty() && value != "false" && value != "off" && value != "no" && value != "0";
}

// Counts one more client of `user`: false if there are too many. Given back when its session ends.
bool TakesOneMore(Env& env, const std::string& user) {
  const auto* config = env.config().FindUser(user);
  return env.shared().clients.Take(user, env.config().max_clients, config == nullptr ? 0 : config->max_clients);
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
      if (!longer_than(env_.config().limits.login_timeout)) return;
      Log(LogLevel::kInfo, "client_refused", {{"user", startup_.user}, {"error", "no login within login_timeout"}});
      // PostgreSQL says nothing either to who has not proved who he is.
      return client_.Close("", ClientOutcome::kTimeout);
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
  Log(LogLevel::kInfo, "client_refused",
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

bool ClientLogin::OnFirst(Bytes& in) {
  auto packet = ReadStartup(in);
  switch (packet.kind) {
    case StartupKind::kNeedMore: return false;
    case StartupKind::kMalformed: OnMalformed(in, packet.fault); return false;
    case StartupKind::kSslRequest:
    case StartupKind::kGssRequest: {
      auto& asked = packet.kind == StartupKind::kSslRequest ? asked_ssl_ : asked_gss_;
      if (asked) {
        Refuse("08P01", "the same encryption was requested twice");
        return false;
      }
      asked = true;
      client_.WriteClient(AsBytes("N"));
      return true;
    }
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
  if (startup_.user.empty()) return Refuse("28000", "no PostgreSQL user name specified in startup packet");
  if (WantsReplication(startup_.replication))
    return Refuse("0A000", "replication connections are not supported by Waypost",
                  "Connect to the server itself for replication.");
  std::vector<std::pair<std::string, std::string>> settings;
  if (!ReadOptions(startup_.options, settings))
    return Refuse("22023", "the start-up option \"options\" holds something other than -c name=value or --name=value");

  std::string out;
  // As the primary would: to its clients a server of an older major offers no more than it speaks itself.
  const auto minor = std::min(startup_.minor, env_.shared().protocol_minor.load(std::memory_order_relaxed));
  if (minor >= kLongKeysMinor) client_.UseLongSecret();
  if (startup_.minor > minor || !startup_.unknown_options.empty()) {
    MessageBuilder message(out, 'v');
    message.U32(kProtocol3 | minor).U32(static_cast<std::uint32_t>(startup_.unknown_options.size()));
    for (const auto& option : startup_.unknown_options) message.CString(option);
  }
  MessageBuilder(out, 'R').U32(kAuthSasl).CString(kMechanism).Byte('\0');
  scram_.emplace(env_.shared().credentials.VerifierOf(startup_.user, known_user_),
                 ScramNonce(AsBytes(RandomBytes(kScramNonceBytes))));
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

void ClientLogin::OnSaslStart(Bytes body) {
  Fields fields(body);
  const auto mechanism = fields.CString();
  const auto length = fields.U32();
  if (!fields.ok()) return Refuse("08P01", "malformed SASL response");
  if (mechanism != kMechanism) return Refuse("08P01", "client selected an invalid SASL authentication mechanism");
  if (length != fields.rest().size()) return Refuse("08P01", "malformed SASL response");
  const auto first = scram_->OnClientFirst(AsText(fields.rest()));
  if (!first) return Refuse(ScramSqlState(first.fault().fault), "malformed SCRAM message", first.error());
  std::string out;
  MessageBuilder(out, 'R').U32(kAuthSaslContinue).Raw(AsBytes(*first));
  phase_ = Phase::kSaslEnd;
  client_.WriteClient(AsBytes(out));
}

void ClientLogin::OnSaslEnd(Bytes body) {
  auto done = scram_->OnClientFinal(AsText(body));
  if (!done && done.fault().fault != ScramFault::kWrongPassword)
    return Refuse(ScramSqlState(done.fault().fault), "malformed SCRAM message", done.error());
  if (!done || !known_user_) return Refuse("28P01", "password authentication failed for user \"" + startup_.user + "\"");
  LeaveLogins();
  if (!TakesOneMore(env_, startup_.user)) return Refuse("53300", "sorry, too many clients already");
  client_.CountedAs(startup_.user);
  env_.shared().credentials.Learn(startup_.user, done->keys);
  std::string out;
  MessageBuilder(out, 'R').U32(kAuthSaslFinal).Raw(AsBytes(done->server_final));
  client_.WriteClient(AsBytes(out));
  Check();
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
    Log(LogLevel::kInfo, "client_refused",
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
