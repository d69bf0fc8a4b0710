// The start-up of a connection to a server, from StartupMessage to the first ReadyForQuery: what to send for each message
// that comes. No I/O of its own; one object a connection, worker thread only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/config/config.h"
#include "parser/wire/frame.h"
#include "parser/wire/scram.h"
#include "parser/wire/startup.h"

namespace waypost {

using Parameters = std::vector<std::pair<std::string, std::string>>;

// The value of the first one of this name; nullptr: there is none.
[[nodiscard]] inline const std::string* FindParameter(const Parameters& parameters, std::string_view name) {
  for (const auto& parameter : parameters)
    if (parameter.first == name) return &parameter.second;
  return nullptr;
}

class ServerLogin {
 public:
  enum class Progress : std::uint8_t { kGoOn, kReady, kFailed };

  // `server` outlives the login. `parameters` are sent in the StartupMessage beside user and database.
  ServerLogin(const ServerConfig& server, std::string user, std::string database, Parameters parameters,
              ScramCredentials credentials);

  // Before OnBytes(): the server showed a certificate with this hash; see Stream::PeerEndPoint(). Empty: none.
  void BindTo(std::string end_point) { end_point_ = std::move(end_point); }
  // The StartupMessage.
  [[nodiscard]] std::string Start() const;

  // Takes the whole messages off the front of `in`, up to the one that ends the login; what it wants sent is appended to
  // `out`. What does not follow the protocol is kFailed with 08P01.
  Progress OnBytes(Bytes& in, std::string& out);
  // Takes one whole message.
  Progress OnMessage(FrameHeader header, Bytes body, std::string& out);

  // kFailed: the ErrorResponse for the client (whole message) and its SQLSTATE.
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] const std::string& sqlstate() const { return sqlstate_; }
  // True if the server itself said so, not our check of it.
  [[nodiscard]] bool server_said_so() const { return server_said_so_; }
  // kReady: what the server told.
  [[nodiscard]] const Parameters& parameter_status() const { return parameter_status_; }
  [[nodiscard]] std::uint32_t pid() const { return pid_; }
  [[nodiscard]] const std::string& secret() const { return secret_; }
  // kReady: the minor version of protocol 3 that the server speaks with us.
  [[nodiscard]] std::uint16_t protocol_minor() const { return protocol_minor_; }
  // Keys that worked and were costly to derive: keep them for the next login.
  [[nodiscard]] const std::optional<ScramKeys>& keys() const { return keys_; }

 private:
  Progress OnAuthentication(Bytes body, std::string& out);
  Progress OnSasl(Bytes mechanisms, std::string& out);
  Progress OnNegotiation(Bytes body);
  Progress OnKey(Bytes body);
  Progress Fail(std::string_view sqlstate, std::string_view message);

  const ServerConfig& server_;
  std::string user_, database_;
  Parameters parameters_;
  ScramCredentials credentials_;
  std::string end_point_;
  std::optional<ScramClient> scram_;
  std::optional<ScramKeys> keys_;
  Parameters parameter_status_;
  std::uint32_t pid_ = 0;
  std::string secret_;
  std::uint16_t protocol_minor_ = kNewestMinor;
  std::string error_, sqlstate_;
  bool server_said_so_ = false;
  bool proved_ = false;         // the server's signature was checked
  bool authenticated_ = false;  // AuthenticationOk came
};

// True for refusals that pass by themselves: starting up, shutting down, a crash, too many connections, no answer at all.
[[nodiscard]] bool IsPassing(std::string_view sqlstate);

}  // namespace waypost
