// SCRAM-SHA-256 as PostgreSQL speaks it: the payloads of the SASL messages, both sides. Pure:
// randomness comes in as an argument. The caller picks the mechanism by name and wraps the
// payloads; -PLUS binds to the server's certificate (tls-server-end-point). Passwords are used as their bytes: PostgreSQL
// first puts them through SASLprep, which changes nothing in ASCII and little in text already in
// Unicode form NFKC. Source: https://www.rfc-editor.org/rfc/rfc5802, rfc7677,
// https://www.postgresql.org/docs/15/sasl-authentication.html
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"

namespace waypost {

inline constexpr std::size_t kScramKeyBytes = 32;  // SHA-256
inline constexpr std::size_t kScramSaltBytes = 16;  // SCRAM_DEFAULT_SALT_LEN, postgres scram-common.h
inline constexpr std::size_t kScramNonceBytes = 18;  // SCRAM_RAW_NONCE_LEN, the same
inline constexpr std::size_t kMaxScramMessageBytes = 1024;  // PG_MAX_SASL_MESSAGE_LENGTH, postgres auth-sasl.h
inline constexpr unsigned kScramIterations = 4096;          // SCRAM_DEFAULT_ITERATIONS
inline constexpr unsigned kMaxScramIterations = 1'000'000;  // about 0.3 s: no peer may cost us more

using ScramKey = std::array<std::uint8_t, kScramKeyBytes>;

// What is stored of a password (pg_authid.rolpassword); it lets nobody log in.
struct ScramVerifier {
  unsigned iterations = kScramIterations;
  std::string salt;  // raw bytes
  ScramKey stored_key{};
  ScramKey server_key{};
};

// What logs in without the password, on every server that has the verifier with this salt and these
// iterations.
struct ScramKeys {
  unsigned iterations = 0;
  std::string salt;  // raw bytes
  ScramKey client_key{};
  ScramKey server_key{};
};

enum class ScramFault : std::uint8_t {
  kMalformed,      // 08P01: the peer broke the protocol
  kUnsupported,    // 0A000: an authorization identity, an extension that we must know
  kOtherChannel,   // 28000: somebody between the two answered for the server, or left an offer out
  kWrongPassword,  // 28P01: the proof does not fit (client), or the server said so
  kOtherVerifier,  // 28P01: the server's salt or iterations are not those of our keys, and there is
                   // no password
  kServerUnproved,  // 28000: the server does not know the user's key: do not trust it
};

struct ScramError {
  ScramFault fault;
  std::string message;  // for a log or an ErrorResponse's detail; no secret in it, and of the
                        // peer's bytes at most one
};

template <class T>
using ScramResult = Result<T, ScramError>;

// The SQLSTATE that PostgreSQL uses for it.
[[nodiscard]] std::string_view ScramSqlState(ScramFault fault);

// Reads "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>" (base64), as pg_authid has it.
Result<ScramVerifier> ParseVerifier(std::string_view text);
[[nodiscard]] std::string FormatVerifier(const ScramVerifier& verifier);

// Costs about a millisecond at 4096 iterations: do it once per password, not per login. `salt` is
// raw bytes.
[[nodiscard]] ScramKeys DeriveKeys(std::string_view password, std::string_view salt, unsigned iterations);
[[nodiscard]] ScramVerifier MakeVerifier(std::string_view password, std::string_view salt,
                                         unsigned iterations = kScramIterations);
[[nodiscard]] ScramVerifier VerifierOf(const ScramKeys& keys);

// For a user that does not exist: always the same salt for the same name and `secret`, and no
// password fits, so that nobody learns which users there are. `secret` is random, made at start.
[[nodiscard]] ScramVerifier MockVerifier(std::string_view user, std::string_view secret);

// Text for a nonce out of random bytes (kScramNonceBytes of them): printable and without a comma.
[[nodiscard]] std::string ScramNonce(Bytes random);

struct ScramSuccess {
  std::string server_final;  // the payload of AuthenticationSASLFinal
  ScramKeys keys;            // learnt from the client's proof: logs in to the servers as this user
};

inline constexpr std::string_view kScramMechanism = "SCRAM-SHA-256", kScramPlusMechanism = "SCRAM-SHA-256-PLUS";

// Towards a client. One object a login; after an error it is of no more use.
class ScramServer {
 public:
  // `nonce` is our part, from ScramNonce(). `end_point`: the hash of the certificate that we showed (RFC 5929); empty: none, and
  // -PLUS is not offered.
  ScramServer(ScramVerifier verifier, std::string nonce, std::string end_point = {});
  ~ScramServer();
  ScramServer(const ScramServer&) = default;
  ScramServer(ScramServer&&) = default;
  ScramServer& operator=(const ScramServer&) = default;
  ScramServer& operator=(ScramServer&&) = default;

  // client-first-message -> server-first-message. The user name in it is ignored, as PostgreSQL
  // does. `plus`: the client chose -PLUS, which must have been offered.
  ScramResult<std::string> OnClientFirst(std::string_view payload, bool plus = false);
  // client-final-message -> server-final-message and the keys. kWrongPassword only for a
  // well-formed message.
  ScramResult<ScramSuccess> OnClientFinal(std::string_view payload);

 private:
  enum class State : std::uint8_t { kWaitFirst, kWaitFinal, kDone };

  State state_ = State::kWaitFirst;
  ScramVerifier verifier_;
  std::string server_nonce_;
  std::string end_point_;
  bool plus_ = false;
  std::string binding_;  // what the client must say of it in the end, in base64
  std::string client_first_bare_;  // these two are signed in the end
  std::string server_first_;
  std::string nonce_;  // the client's part and ours
};

// What a ScramClient logs in with: keys if they fit what the server asks, else the password, if
// there is one.
struct ScramCredentials {
  std::string password;
  bool has_password = false;
  ScramKeys keys;  // iterations == 0: none
};

// What a client says of the channel.
struct ScramBinding {
  enum class Use : std::uint8_t {
    kImpossible,  // there is no TLS
    kNotOffered,  // we could, but the server did not offer -PLUS: a server that did hears that somebody left it out
    kBound  // -PLUS
  };
  Use use = Use::kImpossible;
  std::string end_point = {};  // kBound: the hash of the certificate that the server showed
};

// Towards a server. One object a login; after an error it is of no more use.
class ScramClient {
 public:
  // `nonce` is from ScramNonce().
  ScramClient(ScramCredentials credentials, std::string nonce, ScramBinding binding = {});
  ~ScramClient();
  ScramClient(const ScramClient&) = default;
  ScramClient(ScramClient&&) = default;
  ScramClient& operator=(const ScramClient&) = default;
  ScramClient& operator=(ScramClient&&) = default;

  // The payload of SASLInitialResponse.
  [[nodiscard]] std::string ClientFirst() const;
  // server-first-message -> client-final-message. Takes the time of DeriveKeys() if the keys did
  // not fit.
  ScramResult<std::string> OnServerFirst(std::string_view payload);
  // server-final-message -> the keys that were used, to be kept for the next login (the password's
  // are costly).
  ScramResult<ScramKeys> OnServerFinal(std::string_view payload);

 private:
  enum class State : std::uint8_t { kWaitFirst, kWaitFinal, kDone };

  State state_ = State::kWaitFirst;
  [[nodiscard]] std::string_view Header() const;

  ScramCredentials credentials_;
  std::string nonce_;
  ScramBinding binding_;
  ScramKey server_signature_{};  // what the server must send
};

}  // namespace waypost
