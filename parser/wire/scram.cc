#include "parser/wire/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "core/base/check.h"

namespace waypost {
namespace {

constexpr std::string_view kMechanism = "SCRAM-SHA-256";
constexpr std::string_view kBindingHeader = "p=tls-server-end-point,,";

const unsigned char* Raw(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

std::string_view View(const ScramKey& key) { return {reinterpret_cast<const char*>(key.data()), key.size()}; }

ScramKey Hmac(std::string_view key, std::string_view text) {
  ScramKey out;
  // HMAC() takes a null key for "the one before", so that an empty one needs an address.
  const unsigned char none = 0;
  const void* key_bytes = key.empty() ? &none : static_cast<const void*>(key.data());
  WAYPOST_CHECK(HMAC(EVP_sha256(), key_bytes, static_cast<int>(key.size()), Raw(text), text.size(), out.data(), nullptr) !=
                nullptr);
  return out;
}

ScramKey Sha256(const ScramKey& key) {
  ScramKey out;
  WAYPOST_CHECK(EVP_Digest(key.data(), key.size(), out.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return out;
}

bool Same(const ScramKey& a, const ScramKey& b) { return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

void Xor(ScramKey& key, const ScramKey& with) {
  for (std::size_t i = 0; i < key.size(); ++i) key[i] ^= with[i];
}

void Wipe(std::string& secret) { OPENSSL_cleanse(secret.data(), secret.size()); }
void Wipe(ScramKey& secret) { OPENSSL_cleanse(secret.data(), secret.size()); }

std::string EncodeBase64(std::string_view raw) {
  std::string out((raw.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL writes a final zero byte
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), Raw(raw), static_cast<int>(raw.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

bool IsBase64Digit(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

// Stricter than OpenSSL, which skips blanks: the alphabet alone, padded.
std::optional<std::string> DecodeBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  for (const char c : text.substr(0, text.size() - padding))
    if (!IsBase64Digit(c)) return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), Raw(text), static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  out.resize(out.size() - padding);
  return out;
}

std::optional<ScramKey> DecodeKey(std::string_view text) {
  const auto raw = DecodeBase64(text);
  if (!raw || raw->size() != kScramKeyBytes) return std::nullopt;
  ScramKey key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>((*raw)[i]);
  return key;
}

// Decimal digits alone, 1 or more; 0 if it is not that.
unsigned ParseIterations(std::string_view text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return 0;
  return number <= static_cast<unsigned>(std::numeric_limits<int>::max()) ? number : 0;
}

// As PostgreSQL's sanitize_char(): printable as it is, else its code.
std::string Shown(char c) {
  if (c >= 0x21 && c <= 0x7E) return {'\'', c, '\''};
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto code = static_cast<unsigned char>(c);
  return {'0', 'x', kDigits[code >> 4U], kDigits[code & 15U]};
}

// The attributes of a message, "a=value,b=value", one after the other. The first fault stays: check
// it once, at the end.
class Attributes {
 public:
  explicit Attributes(std::string_view rest) : rest_(rest) {}

  // The value of the next attribute, which must be `name`; empty after a fault.
  std::string_view Take(char name) {
    if (!fault_.empty()) return {};
    if (rest_.empty() || rest_.front() != name) {
      const std::string found = rest_.empty() ? "the end of the message" : Shown(rest_.front());
      return Fail(std::string("Expected attribute '") + name + "' but found " + found + ".");
    }
    return Value();
  }

  // The value of the next attribute, whatever it is; `name` is set to it.
  std::string_view TakeAny(char& name) {
    if (!fault_.empty()) return {};
    if (rest_.empty()) return Fail("Attribute expected, but found end of string.");
    name = rest_.front();
    if ((name < 'A' || name > 'Z') && (name < 'a' || name > 'z'))
      return Fail("Attribute expected, but found invalid character " + Shown(name) + ".");
    return Value();
  }

  // What has not been read; the comma before it has been.
  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] bool done() const { return rest_.empty(); }
  [[nodiscard]] bool ok() const { return fault_.empty(); }
  [[nodiscard]] const std::string& fault() const { return fault_; }

 private:
  std::string_view Value() {
    if (rest_.size() < 2 || rest_[1] != '=')
      return Fail(std::string("Expected character '=' for attribute '") + rest_.front() + "'.");
    rest_.remove_prefix(2);
    const std::size_t comma = rest_.find(',');
    const std::string_view value = rest_.substr(0, comma);
    rest_.remove_prefix(comma == std::string_view::npos ? rest_.size() : comma + 1);
    return value;
  }

  std::string_view Fail(std::string why) {
    fault_ = std::move(why);
    return {};
  }

  std::string_view rest_;
  std::string fault_;
};

ScramError Malformed(std::string detail) { return {ScramFault::kMalformed, "malformed SCRAM message: " + std::move(detail)}; }

// Bounds and the zero byte that would end the message for PostgreSQL.
std::optional<ScramError> CheckSize(std::string_view payload) {
  if (payload.empty()) return Malformed("The message is empty.");
  if (payload.size() > kMaxScramMessageBytes) return Malformed("More than " + std::to_string(kMaxScramMessageBytes) + " bytes.");
  if (payload.find('\0') != std::string_view::npos) return Malformed("Message length does not match input length.");
  return std::nullopt;
}

bool IsNonce(std::string_view text) {
  for (const char c : text)
    if (c < 0x21 || c > 0x7E || c == ',') return false;
  return true;
}

// What the client says of channel binding, in the same words as PostgreSQL refuses it. Removes it from `message`, up to the comma.
std::optional<ScramError> TakeBindingFlag(std::string_view& message, bool plus, bool offered) {
  const char flag = message.front();
  if (flag != 'p' && flag != 'n' && flag != 'y') return Malformed("Unexpected channel-binding flag " + Shown(flag) + ".");
  if (flag == 'p' && !plus)
    return Malformed(
        "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes "
        "channel binding data.");
  if (flag != 'p' && plus)
    return Malformed("The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.");
  if (flag == 'y' && offered)
    return ScramError{ScramFault::kOtherChannel,
                      "SCRAM channel binding negotiation error: the client supports SCRAM channel binding but thinks the "
                      "server does not; this server does"};
  const auto length = flag == 'p' ? std::min(message.find(','), message.size()) : 1;
  if (flag == 'p' && message.substr(0, length) != kBindingHeader.substr(0, kBindingHeader.find(',')))
    return Malformed("Unsupported SCRAM channel-binding type, expected \"tls-server-end-point\".");
  message.remove_prefix(length);
  return std::nullopt;
}

// The header before the client's first message: "n,,", "y,," or kBindingHeader. Removes it from `message`.
std::optional<ScramError> TakeGs2Header(std::string_view& message, bool plus, bool offered) {
  if (auto error = TakeBindingFlag(message, plus, offered)) return error;
  for (int commas = 0; commas < 2; ++commas) {
    if (commas == 1 && !message.empty() && message.front() == 'a')
      return ScramError{ScramFault::kUnsupported, "client uses authorization identity, but it is not supported"};
    if (message.empty() || message.front() != ',')
      return Malformed("Comma expected, but found " +
                       (message.empty() ? std::string("the end of the message") : Shown(message.front())) + ".");
    message.remove_prefix(1);
  }
  return std::nullopt;
}

std::string AuthMessage(std::string_view client_first_bare, std::string_view server_first,
                        std::string_view client_final_without_proof) {
  std::string out(client_first_bare);
  out += ',';
  out += server_first;
  out += ',';
  out += client_final_without_proof;
  return out;
}

// client-final-message, taken apart; the views are of the payload.
struct ClientFinal {
  std::string_view channel_binding, nonce, without_proof;
  ScramKey proof{};
};

ScramResult<ClientFinal> ParseClientFinal(std::string_view payload) {
  Attributes attributes(payload);
  ClientFinal out;
  out.channel_binding = attributes.Take('c');
  out.nonce = attributes.Take('r');
  char name = 0;
  std::string_view value;
  while (attributes.ok() && name != 'p') {  // extensions before the proof are ignored
    const std::size_t before = payload.size() - attributes.rest().size();
    value = attributes.TakeAny(name);
    out.without_proof = payload.substr(0, before - 1);
  }
  if (!attributes.ok()) return Malformed(attributes.fault());
  const auto proof = DecodeKey(value);
  if (!proof) return Malformed("Malformed proof in client-final-message.");
  if (!attributes.done()) return Malformed("Garbage found at the end of client-final-message.");
  out.proof = *proof;
  return out;
}

// server-first-message, taken apart.
struct ServerFirst {
  std::string nonce, salt;
  unsigned iterations = 0;
};

ScramResult<ServerFirst> ParseServerFirst(std::string_view payload) {
  if (auto error = CheckSize(payload)) return std::move(*error);
  Attributes attributes(payload);
  ServerFirst out;
  out.nonce = attributes.Take('r');
  const std::string_view salt = attributes.Take('s');
  const std::string_view iterations = attributes.Take('i');
  if (!attributes.ok()) return Malformed(attributes.fault());
  if (!attributes.done()) return Malformed("Garbage found at the end of server-first-message.");
  auto raw_salt = DecodeBase64(salt);
  if (!raw_salt || raw_salt->empty()) return Malformed("Invalid salt.");
  out.salt = std::move(*raw_salt);
  out.iterations = ParseIterations(iterations);
  if (out.iterations == 0) return Malformed("Invalid iteration count.");
  return out;
}

ScramError TooManyIterations(unsigned iterations) {
  return {ScramFault::kUnsupported, "the server asks for " + std::to_string(iterations) + " SCRAM iterations, but at most " +
                                        std::to_string(kMaxScramIterations) + " are allowed"};
}

}  // namespace

std::string_view ScramSqlState(ScramFault fault) {
  switch (fault) {
    case ScramFault::kMalformed: return "08P01";
    case ScramFault::kUnsupported: return "0A000";
    case ScramFault::kWrongPassword:
    case ScramFault::kOtherVerifier: return "28P01";
    case ScramFault::kOtherChannel:
    case ScramFault::kServerUnproved: return "28000";
  }
  return "XX000";
}

Result<ScramVerifier> ParseVerifier(std::string_view text) {
  const Error error{
      "expected SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, as in "
      "pg_authid.rolpassword"};
  // The four parts are base64, decimal or a fixed word: none has '$' or ':' in it.
  const std::size_t scheme_end = text.find('$');
  const std::size_t keys_start = text.rfind('$');
  if (scheme_end == std::string_view::npos || keys_start == scheme_end) return error;
  if (text.substr(0, scheme_end) != kMechanism) return error;
  const std::string_view cost = text.substr(scheme_end + 1, keys_start - scheme_end - 1);
  const std::string_view keys = text.substr(keys_start + 1);
  const std::size_t cost_colon = cost.find(':');
  const std::size_t keys_colon = keys.find(':');
  if (cost_colon == std::string_view::npos || keys_colon == std::string_view::npos) return error;

  ScramVerifier out;
  out.iterations = ParseIterations(cost.substr(0, cost_colon));
  auto salt = DecodeBase64(cost.substr(cost_colon + 1));
  const auto stored_key = DecodeKey(keys.substr(0, keys_colon));
  const auto server_key = DecodeKey(keys.substr(keys_colon + 1));
  // The salt must fit into a message that the client will take.
  const bool salt_ok = salt && !salt->empty() && salt->size() <= kMaxScramMessageBytes / 2;
  if (out.iterations == 0 || !salt_ok || !stored_key || !server_key) return error;
  out.salt = std::move(*salt);
  out.stored_key = *stored_key;
  out.server_key = *server_key;
  return out;
}

std::string FormatVerifier(const ScramVerifier& verifier) {
  std::string out(kMechanism);
  out += '$' + std::to_string(verifier.iterations) + ':' + EncodeBase64(verifier.salt);
  out += '$' + EncodeBase64(View(verifier.stored_key)) + ':' + EncodeBase64(View(verifier.server_key));
  return out;
}

ScramKeys DeriveKeys(std::string_view password, std::string_view salt, unsigned iterations) {
  ScramKey salted;
  WAYPOST_CHECK(iterations > 0 && PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), Raw(salt),
                                                    static_cast<int>(salt.size()), static_cast<int>(iterations), EVP_sha256(),
                                                    static_cast<int>(salted.size()), salted.data()) == 1);
  ScramKeys keys{.iterations = iterations,
                 .salt = std::string(salt),
                 .client_key = Hmac(View(salted), "Client Key"),
                 .server_key = Hmac(View(salted), "Server Key")};
  Wipe(salted);
  return keys;
}

ScramVerifier VerifierOf(const ScramKeys& keys) {
  return {.iterations = keys.iterations, .salt = keys.salt, .stored_key = Sha256(keys.client_key), .server_key = keys.server_key};
}

ScramVerifier MakeVerifier(std::string_view password, std::string_view salt, unsigned iterations) {
  ScramKeys keys = DeriveKeys(password, salt, iterations);
  ScramVerifier verifier = VerifierOf(keys);
  Wipe(keys.client_key);
  return verifier;
}

ScramVerifier MockVerifier(std::string_view user, std::string_view secret) {
  // Three independent values of the same name; a StoredKey that is no digest of anything known fits
  // no proof.
  const auto derive = [&](char purpose) { return Hmac(secret, purpose + std::string(user)); };
  return {.iterations = kScramIterations,
          .salt = std::string(View(derive('s')).substr(0, kScramSaltBytes)),
          .stored_key = derive('k'),
          .server_key = derive('v')};
}

std::string ScramNonce(Bytes random) { return EncodeBase64(AsText(random)); }

ScramServer::ScramServer(ScramVerifier verifier, std::string nonce, std::string end_point)
    : verifier_(std::move(verifier)), server_nonce_(std::move(nonce)), end_point_(std::move(end_point)) {}

ScramServer::~ScramServer() { Wipe(verifier_.server_key); }

ScramResult<std::string> ScramServer::OnClientFirst(std::string_view payload, bool plus) {
  if (std::exchange(state_, State::kDone) != State::kWaitFirst) return Malformed("Out of order.");
  if (auto error = CheckSize(payload)) return std::move(*error);
  const auto whole = payload;
  if (auto error = TakeGs2Header(payload, plus, !end_point_.empty())) return std::move(*error);
  const auto header = whole.substr(0, whole.size() - payload.size());
  plus_ = plus;
  binding_ = EncodeBase64(std::string(header) + (plus ? end_point_ : ""));
  client_first_bare_ = payload;
  if (!payload.empty() && payload.front() == 'm')
    return ScramError{ScramFault::kUnsupported, "client requires an unsupported SCRAM extension"};
  Attributes attributes(payload);
  (void)attributes.Take('n');
  const std::string_view client_nonce = attributes.Take('r');
  char extension = 0;
  while (attributes.ok() && !attributes.done()) (void)attributes.TakeAny(extension);
  if (!attributes.ok()) return Malformed(attributes.fault());
  if (!IsNonce(client_nonce)) return Malformed("Non-printable characters in SCRAM nonce.");

  nonce_ = std::string(client_nonce) + server_nonce_;
  server_first_ = "r=" + nonce_ + ",s=" + EncodeBase64(verifier_.salt) + ",i=" + std::to_string(verifier_.iterations);
  state_ = State::kWaitFinal;
  return server_first_;
}

ScramResult<ScramSuccess> ScramServer::OnClientFinal(std::string_view payload) {
  if (std::exchange(state_, State::kDone) != State::kWaitFinal) return Malformed("Out of order.");
  if (auto error = CheckSize(payload)) return std::move(*error);
  const auto message = ParseClientFinal(payload);
  if (!message) return message.fault();
  if (message->channel_binding != binding_ && plus_)
    return ScramError{ScramFault::kOtherChannel, "SCRAM channel binding check failed"};
  if (message->channel_binding != binding_)
    return Malformed("Unexpected SCRAM channel-binding attribute in client-final-message.");
  if (message->nonce != nonce_) return Malformed("Nonce does not match.");

  const std::string signed_text = AuthMessage(client_first_bare_, server_first_, message->without_proof);
  ScramKey client_key = message->proof;
  Xor(client_key, Hmac(View(verifier_.stored_key), signed_text));
  if (!Same(Sha256(client_key), verifier_.stored_key)) {
    Wipe(client_key);
    return ScramError{ScramFault::kWrongPassword, "the SCRAM proof does not fit the password"};
  }
  ScramSuccess success{.server_final = "v=" + EncodeBase64(View(Hmac(View(verifier_.server_key), signed_text))),
                       .keys = {.iterations = verifier_.iterations,
                                .salt = verifier_.salt,
                                .client_key = client_key,
                                .server_key = verifier_.server_key}};
  Wipe(client_key);
  return success;
}

ScramClient::ScramClient(ScramCredentials credentials, std::string nonce, ScramBinding binding)
    : credentials_(std::move(credentials)), nonce_(std::move(nonce)), binding_(std::move(binding)) {}

std::string_view ScramClient::Header() const {
  switch (binding_.use) {
    case ScramBinding::Use::kImpossible: return "n,,";
    case ScramBinding::Use::kNotOffered: return "y,,";
    case ScramBinding::Use::kBound: return kBindingHeader;
  }
  return {};
}

ScramClient::~ScramClient() {
  Wipe(credentials_.password);
  Wipe(credentials_.keys.client_key);
}

std::string ScramClient::ClientFirst() const { return std::string(Header()) + "n=,r=" + nonce_; }

ScramResult<std::string> ScramClient::OnServerFirst(std::string_view payload) {
  if (std::exchange(state_, State::kDone) != State::kWaitFirst) return Malformed("Out of order.");
  const auto message = ParseServerFirst(payload);
  if (!message) return message.fault();
  if (!message->nonce.starts_with(nonce_) || message->nonce.size() == nonce_.size() || !IsNonce(message->nonce))
    return Malformed("Nonce does not match.");

  ScramKeys& keys = credentials_.keys;
  if (keys.iterations != message->iterations || keys.salt != message->salt) {
    if (!credentials_.has_password)
      return ScramError{ScramFault::kOtherVerifier,
                        "the server stores another SCRAM verifier for this user than the one that "
                        "the client's key was learnt with"};
    if (message->iterations > kMaxScramIterations) return TooManyIterations(message->iterations);
    keys = DeriveKeys(credentials_.password, message->salt, message->iterations);
  }
  const auto bound = std::string(Header()) + binding_.end_point;
  const std::string without_proof = "c=" + EncodeBase64(bound) + ",r=" + message->nonce;
  const std::string signed_text = AuthMessage(ClientFirst().substr(Header().size()), payload, without_proof);
  server_signature_ = Hmac(View(keys.server_key), signed_text);
  ScramKey proof = keys.client_key;
  Xor(proof, Hmac(View(Sha256(keys.client_key)), signed_text));
  state_ = State::kWaitFinal;
  return without_proof + ",p=" + EncodeBase64(View(proof));
}

ScramResult<ScramKeys> ScramClient::OnServerFinal(std::string_view payload) {
  if (std::exchange(state_, State::kDone) != State::kWaitFinal) return Malformed("Out of order.");
  if (auto error = CheckSize(payload)) return std::move(*error);
  if (payload.starts_with("e=")) return ScramError{ScramFault::kWrongPassword, "the server refused the SCRAM exchange"};
  Attributes attributes(payload);
  const std::string_view text = attributes.Take('v');
  if (!attributes.ok()) return Malformed(attributes.fault());
  const auto signature = DecodeKey(text);
  if (!signature) return Malformed("Invalid server signature.");
  if (!attributes.done()) return Malformed("Garbage found at the end of server-final-message.");
  if (!Same(*signature, server_signature_))
    return ScramError{ScramFault::kServerUnproved, "the server's SCRAM signature is wrong: it does not know this user's key"};
  return credentials_.keys;
}

}  // namespace waypost
