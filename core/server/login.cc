#include "core/server/login.h"

#include <algorithm>

#include "core/config/credentials.h"
#include "parser/wire/backend.h"
#include "parser/wire/encode.h"
#include "parser/wire/fields.h"
#include "parser/wire/md5.h"

namespace waypost {
namespace {

// Authentication request codes, postgres src/include/libpq/pqcomm.h
constexpr std::uint32_t kAuthOk = 0;
constexpr std::uint32_t kAuthCleartext = 3;
constexpr std::uint32_t kAuthMd5 = 5;
constexpr std::uint32_t kAuthSasl = 10;
constexpr std::uint32_t kAuthSaslContinue = 11;
constexpr std::uint32_t kAuthSaslFinal = 12;
constexpr std::uint32_t kProtocol3 = 3U << 16U;

// No honest server sends a longer message before it is ready.
constexpr std::uint32_t kMaxMessageBytesAtStartup = 64 * 1024;

bool Offers(Fields fields, std::string_view mechanism) {
  for (;;) {
    const auto offered = fields.CString();
    if (!fields.ok() || offered.empty()) return false;
    if (offered == mechanism) return true;
  }
}

}  // namespace

ServerLogin::ServerLogin(const ServerConfig& server, std::string user, std::string database, Parameters parameters,
                         ScramCredentials credentials)
    : server_(server),
      user_(std::move(user)),
      database_(std::move(database)),
      parameters_(std::move(parameters)),
      credentials_(std::move(credentials)) {}

std::string ServerLogin::Start() const {
  std::string out;
  {
    MessageBuilder message(out, 0);
    message.U32(kProtocol3 | kNewestMinor).CString("user").CString(user_).CString("database").CString(database_);
    for (const auto& [name, value] : parameters_) message.CString(name).CString(value);
    message.Byte('\0');
  }
  return out;
}

ServerLogin::Progress ServerLogin::Fail(std::string_view sqlstate, std::string_view message) {
  sqlstate_ = sqlstate;
  error_.clear();
  AppendError(error_, {.severity = "FATAL", .sqlstate = sqlstate, .message = message});
  return Progress::kFailed;
}

ServerLogin::Progress ServerLogin::OnAuthentication(Bytes body, std::string& out) {
  Fields fields(body);
  const auto code = fields.U32();
  const auto where = "server \"" + server_.name + "\" ";
  switch (code) {
    case kAuthOk:
      if (scram_ && !proved_) return Fail("28000", where + "did not prove that it knows user \"" + user_ + "\"");
      authenticated_ = true;
      return Progress::kGoOn;
    case kAuthCleartext:
    case kAuthMd5: {
      const bool allowed = code == kAuthMd5 ? server_.allow_md5 : server_.allow_cleartext_password;
      if (!allowed)
        return Fail("28000", where + (code == kAuthMd5 ? "asks for an md5 password, which allow_md5 = false forbids"
                                                       : "asks for a cleartext password, which is allowed only with "
                                                         "allow_cleartext_password = true"));
      if (!credentials_.has_password)
        return Fail("28000", where + "asks for the password of user \"" + user_ + "\", of which only a SCRAM verifier is known");
      const auto salt = fields.Take(code == kAuthMd5 ? 4 : 0);
      if (!fields.ok()) return Fail("08P01", where + "sent an authentication request that is too short");
      if (code == kAuthMd5)
        MessageBuilder(out, 'p').CString(Md5Password(user_, credentials_.password, salt.first<kMd5SaltBytes>()));
      else MessageBuilder(out, 'p').CString(credentials_.password);
      return Progress::kGoOn;
    }
    case kAuthSasl: return OnSasl(fields.rest(), out);
    case kAuthSaslContinue:
    case kAuthSaslFinal: {
      if (!scram_) return Fail("08P01", where + "sent SASL data that was not asked for");
      if (code == kAuthSaslContinue) {
        const auto final = scram_->OnServerFirst(AsText(fields.rest()));
        if (!final) return Fail("28000", "login to " + where + "failed: " + final.error());
        MessageBuilder(out, 'p').Raw(AsBytes(*final));
        return Progress::kGoOn;
      }
      auto keys = scram_->OnServerFinal(AsText(fields.rest()));
      if (!keys) return Fail("28000", "login to " + where + "failed: " + keys.error());
      keys_ = *keys;
      proved_ = true;
      return Progress::kGoOn;
    }
    default:
      return Fail("28000",
                  where + "asks for an authentication method that Waypost does not speak (code " + std::to_string(code) + ")");
  }
}

// Bound to the server's certificate wherever it can be: who relays between us and the server has another one.
ServerLogin::Progress ServerLogin::OnSasl(Bytes mechanisms, std::string& out) {
  const auto where = "server \"" + server_.name + "\" ";
  const bool plus = !end_point_.empty() && Offers(Fields(mechanisms), kScramPlusMechanism);
  const auto mechanism = plus ? kScramPlusMechanism : kScramMechanism;
  if (!plus && !Offers(Fields(mechanisms), kScramMechanism))
    return Fail("28000", where + "offers no SASL mechanism that Waypost speaks (SCRAM-SHA-256)");
  if (!credentials_.has_password && credentials_.keys.iterations == 0)
    return Fail("28000", "Waypost has no password or key yet to log in to " + where + "as user \"" + user_ + "\"");
  using Use = ScramBinding::Use;
  const auto use = plus ? Use::kBound : end_point_.empty() ? Use::kImpossible : Use::kNotOffered;
  scram_.emplace(credentials_, ScramNonce(AsBytes(RandomBytes(kScramNonceBytes))),
                 ScramBinding{use, plus ? end_point_ : std::string()});
  const auto first = scram_->ClientFirst();
  MessageBuilder(out, 'p').CString(mechanism).U32(static_cast<std::uint32_t>(first.size())).Raw(AsBytes(first));
  return Progress::kGoOn;
}

// Servers before 18 speak 3.0.
ServerLogin::Progress ServerLogin::OnNegotiation(Bytes body) {
  Fields fields(body);
  const auto version = fields.U32();
  if (!fields.ok() || (version & ~0xFFFFU) != kProtocol3 || (version & 0xFFFFU) > kNewestMinor)
    return Fail("08P01", "server \"" + server_.name + "\" chose a protocol version that Waypost did not offer");
  protocol_minor_ = static_cast<std::uint16_t>(version & 0xFFFFU);
  return Progress::kGoOn;
}

ServerLogin::Progress ServerLogin::OnKey(Bytes body) {
  Fields fields(body);
  pid_ = fields.U32();
  secret_ = AsText(fields.rest());
  if (!fields.ok() || secret_.empty() || secret_.size() > kMaxCancelSecretBytes)
    return Fail("08P01", "server \"" + server_.name + "\" sent a cancel key of an impossible length");
  return Progress::kGoOn;
}

bool IsPassing(std::string_view sqlstate) {
  return sqlstate.empty() || sqlstate.starts_with("57P") || sqlstate.starts_with("53") || sqlstate.starts_with("08");
}

ServerLogin::Progress ServerLogin::OnBytes(Bytes& in, std::string& out) {
  for (;;) {
    auto rest = in;
    FrameHeader header;
    const auto found = NextHeader(rest, header);
    if (found == FrameStatus::kNeedMore) return Progress::kGoOn;
    if (found == FrameStatus::kMalformed || header.body_bytes > kMaxMessageBytesAtStartup)
      return Fail("08P01", "server \"" + server_.name + "\" sent something that is not the PostgreSQL protocol");
    if (rest.size() < header.body_bytes) return Progress::kGoOn;
    const auto progress = OnMessage(header, rest.first(header.body_bytes), out);
    in = rest.subspan(header.body_bytes);
    if (progress != Progress::kGoOn) return progress;
  }
}

ServerLogin::Progress ServerLogin::OnMessage(FrameHeader header, Bytes body, std::string& out) {
  switch (header.type) {
    case 'R': return OnAuthentication(body, out);
    case 'E': {
      const auto error = ReadError(body);
      sqlstate_ = error.sqlstate;
      server_said_so_ = true;
      error_.clear();
      MessageBuilder(error_, 'E').Raw(body);
      return Progress::kFailed;
    }
    case 'S':
      if (const auto status = ReadParameterStatus(body)) parameter_status_.emplace_back(*status);
      return Progress::kGoOn;
    case 'K': return OnKey(body);
    case 'v': return OnNegotiation(body);
    case 'N': return Progress::kGoOn;
    case 'Z':
      if (authenticated_) return Progress::kReady;
      [[fallthrough]];
    default:
      return Fail("08P01", "server \"" + server_.name + "\" sent an unexpected message of type '" + std::string(1, header.type) +
                               "' during start-up");
  }
}

}  // namespace waypost
